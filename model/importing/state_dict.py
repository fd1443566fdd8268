"""Read weights from a file of unknown origin, key by key, without executing anything in it.

The file is a `.safetensors` file, or a state dict from `torch.save`, read with `weights_only=True`.
Everything but tensors is refused. The numbers become float64, so that folding layers loses no
digits.
"""

import hashlib
import io
import warnings
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from model.errors import ArtifactError
from model.messages import listed

NESTED = ("state_dict", "model_state_dict")  # keys under which checkpoints keep the state dict
TORCH = (".pt", ".pth", ".bin", ".ckpt")
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)

Shape = tuple[int | None, ...]  # None: any length


class Weights:
    """The tensors of a file by key, and which of them no layer has taken yet."""

    def __init__(self, name: str, sha256: str, tensors: dict[str, Tensor]) -> None:
        self.name = name
        self.sha256 = sha256
        self._tensors = tensors
        self._left = set(tensors)

    @property
    def left(self) -> list[str]:
        """The keys that no layer has taken."""
        return sorted(self._left)

    def has(self, key: str) -> bool:
        """Whether there is a tensor of that key."""
        return key in self._tensors

    def skip(self, key: str) -> None:
        """Count a tensor as taken that is not needed."""
        self._left.discard(key)

    def take(self, key: str, shape: Shape, *, why: str = "") -> Tensor:
        """The tensor as float64; raises ArtifactError naming file, key and fault.

        `why` is added to the message about a wrong shape.
        """
        where = f"{self.name}: {key!r}"
        if key not in self._tensors:
            near = get_close_matches(key, self._tensors, n=3, cutoff=0)
            raise ArtifactError(f"{where} is not there; the file has {listed(near)}, ...")
        tensor = self._tensors[key]
        if len(tensor.shape) != len(shape) or any(
            wanted not in (None, length) for wanted, length in zip(shape, tensor.shape, strict=True)
        ):
            wanted = "[" + ", ".join("any" if n is None else str(n) for n in shape) + "]"
            raise ArtifactError(f"{where} has shape {list(tensor.shape)}, not {wanted}{why}")
        if tensor.dtype not in FLOATS:
            raise ArtifactError(f"{where} is {tensor.dtype}; floating-point numbers are needed")
        numbers = tensor.detach().double()
        if not numbers.isfinite().all():
            raise ArtifactError(f"{where} holds a number that is not finite")
        self._left.discard(key)
        return numbers


def read_weights(path: str | Path) -> Weights:
    """The weights in a file; raises ArtifactError that names it."""
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error
    if path.suffix == ".safetensors":
        tensors = _safetensors(path, content)
    elif path.suffix in TORCH:
        tensors = _state_dict(path, content)
    else:
        known = ", ".join((".safetensors", *TORCH))
        raise ArtifactError(f"{path}: weights come in files of {known}, not {path.suffix!r}")
    if not tensors:
        raise ArtifactError(f"{path} holds no tensors")
    for key, tensor in tensors.items():
        _check_storage(path, key, tensor, len(content))
    return Weights(path.name, hashlib.sha256(content).hexdigest(), tensors)


def _safetensors(path: Path, content: bytes) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load(content)
    except SafetensorError as error:
        raise ArtifactError(f"{path} is no safetensors file: {error}") from error
    except KeyError as error:  # a number format that safetensors knows and torch does not
        raise ArtifactError(f"{path} holds {error} numbers, which torch does not know") from error


def _state_dict(path: Path, content: bytes) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():  # the error below has all that the user needs
            warnings.simplefilter("ignore")
            loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load of arbitrary bytes may raise any exception
        raise ArtifactError(
            f"{path} is not a state dict with nothing but tensors; "
            "write it with torch.save(module.state_dict(), ...)"
        ) from error
    nested = next((key for key in NESTED if isinstance(loaded, dict) and key in loaded), None)
    return _tensors(path, loaded[nested] if nested else loaded)


def _tensors(path: Path, loaded: Any) -> dict[str, Tensor]:
    """The loaded tensors by key; raises ArtifactError for anything else."""
    if not isinstance(loaded, dict):
        raise ArtifactError(f"{path} holds a {type(loaded).__name__}, not a state dict")
    for key, value in loaded.items():
        if not (isinstance(key, str) and isinstance(value, Tensor)):
            kind = type(value).__name__
            raise ArtifactError(f"{path}: {key!r} is a {kind}; a state dict has tensors by name")
    return dict(loaded)


def _check_storage(path: Path, key: str, tensor: Tensor, size_bytes: int) -> None:
    """Raise ArtifactError for a tensor that is sparse, or that has more numbers than its file.

    No memory is allocated for the tensor before this check.
    """
    where = f"{path}: {key!r}"
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        kind = f"{tensor.layout} on {tensor.device}"
        raise ArtifactError(f"{where} is stored as {kind}, not as plain numbers")
    if tensor.numel() > size_bytes:
        raise ArtifactError(f"{where} claims {tensor.numel()} numbers, more than the file can hold")

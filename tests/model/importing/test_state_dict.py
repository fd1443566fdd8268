"""Weights come out of a file as numbers; nothing in it runs, and what is odd is refused."""

import io
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from model import ArtifactError
from model.importing.state_dict import read_weights

NET = nn.Linear(3, 2)


def saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def refused(path: Path, said: str) -> None:
    with pytest.raises(ArtifactError, match=path.name) as caught:
        read_weights(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt", ".safetensors"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_numbers_come_out_as_they_went_in(suffix: str, dtype: torch.dtype, tmp_path: Path) -> None:
    state = {key: tensor.to(dtype) for key, tensor in NET.state_dict().items()}
    path = tmp_path / f"net{suffix}"
    if suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path)
    weights = read_weights(path)
    assert weights.left == ["bias", "weight"]
    assert torch.equal(weights.take("weight", (2, 3)), state["weight"].double())
    assert weights.left == ["bias"]


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict"])
def test_a_checkpoint_keeps_its_state_dict_under_a_name(key: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "last.ckpt", {"epoch": 3, key: NET.state_dict()})
    assert read_weights(path).left == ["bias", "weight"]


class Intruder:
    """What a hostile pickle is made of."""

    def __init__(self, witness: Path) -> None:
        self._witness = witness

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self._witness,))


@pytest.mark.parametrize("form", ["zip", "bare pickle"])
def test_nothing_in_a_hostile_file_runs(form: str, tmp_path: Path) -> None:
    witness, path = tmp_path / "witness", tmp_path / "net.pt"
    if form == "zip":
        torch.save({"weight": Intruder(witness)}, path)
    else:
        path.write_bytes(pickle.dumps({"weight": Intruder(witness)}))
    refused(path, "not a state dict with nothing but tensors")
    assert not witness.exists()


def test_a_whole_module_is_refused_with_what_to_write_instead(tmp_path: Path) -> None:
    refused(saved(tmp_path / "net.pt", NET), "torch.save(module.state_dict(), ...)")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([1, 2], "holds a list"),
        (torch.ones(3), "holds a Tensor"),
        ({"weight": torch.ones(2), "epoch": 3}, "'epoch' is a int"),
        ({3: torch.ones(2)}, "3 is a Tensor; a state dict has tensors by name"),
        ({}, "holds no tensors"),
        ({"weight": torch.ones(2).to_sparse()}, "'weight' is stored as torch.sparse_coo"),
        ({"weight": torch.ones(2, device="meta")}, "'weight' is stored as torch.strided on meta"),
    ],
)
def test_what_is_no_state_dict_is_refused(content: Any, said: str, tmp_path: Path) -> None:
    refused(saved(tmp_path / "net.pt", content), said)


def test_a_few_numbers_that_claim_to_be_many_are_refused_before_they_are_copied(
    tmp_path: Path,
) -> None:
    huge = torch.ones(1).expand(1 << 20, 1 << 20)
    refused(saved(tmp_path / "net.pt", {"weight": huge}), "more than the file can hold")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_bytes_of_any_kind_are_refused_in_a_line(suffix: str, tmp_path: Path) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as inside:
        inside.writestr("net/data.pkl", b"\x80\x02}q\x00.")
    buffer = io.BytesIO()
    torch.save(NET.state_dict(), buffer)
    whole = buffer.getvalue() if suffix == ".pt" else safetensors.torch.save(NET.state_dict())
    path = tmp_path / f"net{suffix}"
    damaged = [whole[:at] for at in range(0, len(whole) - 1, len(whole) // 12)]
    for content in (b"", b"\x80", b"\x80\x04.", b"PK", struct.pack("<Q", 1 << 60), *damaged):
        path.write_bytes(content)
        refused(path, "")
    path.write_bytes(archive.getvalue())
    refused(path, "")


def test_a_flipped_bit_anywhere_is_refused_in_a_line_or_does_no_harm(tmp_path: Path) -> None:
    buffer, path = io.BytesIO(), tmp_path / "net.pt"
    torch.save(NET.state_dict(), buffer)
    whole = buffer.getvalue()
    outcomes = {"read": 0, "refused": 0}
    for at in range(0, len(whole), 13):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :])
        try:
            assert read_weights(path).left
            outcomes["read"] += 1
        except ArtifactError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 0


def test_files_that_are_not_there_or_of_another_kind_are_named(tmp_path: Path) -> None:
    refused(tmp_path / "none.pt", "No such file")
    (tmp_path / "net.onnx").write_bytes(b"")
    refused(tmp_path / "net.onnx", "'.onnx'")


def test_a_key_that_is_not_there_is_told_with_those_that_are_near(tmp_path: Path) -> None:
    weights = read_weights(saved(tmp_path / "net.pt", NET.state_dict()))
    with pytest.raises(ArtifactError, match=r"net.pt: 'wight' is not there; the file has weight"):
        weights.take("wight", (2, 3))
    with pytest.raises(ArtifactError, match=r"'weight' has shape \[2, 3\], not \[any\]"):
        weights.take("weight", (None,))

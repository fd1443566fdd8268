"""Weights come out of a file as numbers; nothing in it runs, and what is odd is refused."""

import argparse
import io
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
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
    """Reading the file, or taking a tensor from it, is refused with these words in one line."""
    with pytest.raises(ArtifactError, match=path.name) as caught:
        taken(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def taken(path: Path) -> int:
    """The numbers in all tensors of the file, each with one or two dimensions."""
    weights, numbers = read_weights(path), 0
    for key in weights.left:
        shape = (None, None) if key.endswith("weight") else (None,)
        numbers += weights.take(key, shape).numel()
    weights.check_all_taken()
    return numbers


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
    refused(path, "torch.save(module.state_dict(), ...)")
    assert not witness.exists()


def test_a_whole_module_is_refused_with_what_to_write_instead(tmp_path: Path) -> None:
    refused(saved(tmp_path / "net.pt", NET), "torch.save(module.state_dict(), ...)")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([1, 2], "holds no tensors by name, it is of type list"),
        (torch.ones(3), "it is a tensor"),
        ({"bias": torch.ones(2), "epoch": 3}, "'epoch' is of type int, not a tensor"),
        ({"bias": torch.ones(2), "path": Path("/x")}, "'path' is an object of 'pathlib.PosixPath'"),
        ({"lr": torch.ones(1).numpy()}, "'lr' is an object of 'numpy."),
        ({3: torch.ones(2)}, "3 is a tensor"),
        ({}, "it is an empty dict"),
        ({"bias": torch.ones(2).to_sparse()}, "'bias' is stored as 'sparse_tensor'"),
        ({"bias": torch.ones(2, device="meta")}, "'bias' is stored as 'meta_tensor_no_storage'"),
        ({"bias": torch.ones(2, dtype=torch.int32)}, "'bias' is int32"),
    ],
)
def test_what_is_no_state_dict_is_refused(content: Any, said: str, tmp_path: Path) -> None:
    refused(saved(tmp_path / "net.pt", content), said)


def test_a_few_numbers_that_claim_to_be_many_are_refused_before_they_are_copied(
    tmp_path: Path,
) -> None:
    huge = torch.ones(1).expand(1 << 20, 1 << 20)
    refused(saved(tmp_path / "net.pt", {"weight": huge}), "its storage has 1")
    shared = torch.ones(100, 100)
    many = {f"{number}.weight": shared for number in range(100)}
    refused(saved(tmp_path / "net.pt", many), "more than the file can hold")


def test_what_a_file_claims_is_checked_before_memory_is_taken(tmp_path: Path) -> None:
    """Zip archives and pickles of a few hundred KB that would become hundreds of MB."""
    archive, path = tmp_path / "plain.pt", tmp_path / "net.pt"
    saved(archive, {"weight": torch.zeros(50_000_000, 1)})
    with zipfile.ZipFile(archive) as plain, zipfile.ZipFile(path, "w", 8) as compressed:
        for entry in plain.infolist():
            compressed.writestr(entry.filename, plain.read(entry))
    archive.unlink()
    refused_in_little_memory(path, "is compressed,")
    for content, said in (
        (b"\x80\x04" + b"]" * 500_000 + b".", "holds no tensors by name, it is of type list"),
        (b"\x80\x04" + b"}" * 15_000_000, "the pickle is too long"),
        (b"\x80\x04" + b"}" * 17_000_000, "its pickle has"),
    ):
        with zipfile.ZipFile(path, "w") as inside:
            inside.writestr("net/data.pkl", content)
        refused_in_little_memory(path, said)


def refused_in_little_memory(path: Path, said: str) -> None:
    tracemalloc.start()
    refused(path, said)
    assert tracemalloc.get_traced_memory()[1] < 160 << 20
    tracemalloc.stop()


def test_a_function_that_allocates_is_not_called(tmp_path: Path) -> None:
    class Large:
        def __reduce__(self) -> tuple[Any, ...]:
            return (bytearray, (8 << 30,))

    path = saved(tmp_path / "net.pt", {"bias": torch.ones(2), "large": Large()})
    refused(path, ".bytearray', not a tensor")


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
    refused(tmp_path, "Is a directory")
    (tmp_path / "net.onnx").write_bytes(b"\x08\x07 some other format")
    refused(tmp_path / "net.onnx", "neither torch.save nor safetensors wrote it")


@pytest.mark.parametrize("ending", [".PT", ".pth.tar", ".model", ""])
def test_the_ending_of_a_file_does_not_matter(ending: str, tmp_path: Path) -> None:
    assert taken(saved(tmp_path / f"net{ending}", NET.state_dict())) == 8
    safetensors.torch.save_file(NET.state_dict(), tmp_path / f"net{ending}")
    assert taken(tmp_path / f"net{ending}") == 8


def test_files_of_torch_before_its_zip_archives_are_read(tmp_path: Path) -> None:
    path, net = tmp_path / "net.pth", nn.Linear(300, 200).double()
    state = {"epoch": 3, "model": net.state_dict(), "steps": torch.arange(5)}
    torch.save(state, path, _use_new_zipfile_serialization=False)
    weights = read_weights(path)
    assert torch.equal(weights.take("weight", (200, 300)), net.weight)
    assert torch.equal(weights.take("bias", (200,)), net.bias)


class Settings(dict[str, Any]):
    """Hyperparameters as a framework keeps them: an object of a class of its own."""


def lightning() -> dict[str, Any]:
    """A checkpoint as frameworks write it, with objects in it."""
    return {
        "epoch": 3,
        "hyper_parameters": Settings(lr=np.float64(0.1), data=Path("/data"), act=nn.ReLU()),
        "args": argparse.Namespace(lr=0.1),
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(2, 3)}}}],
        "loss": torch.tensor(0.3),
        "state_dict": NET.state_dict(),
    }


@pytest.mark.parametrize("key", ["state_dict", "model", "net", "model_state", "generator"])
def test_a_state_dict_is_found_under_any_key_beside_objects(key: str, tmp_path: Path) -> None:
    checkpoint = lightning()
    path = saved(tmp_path / "last.ckpt", {key: checkpoint.pop("state_dict"), **checkpoint})
    layers = {"0"}  # no key begins so: then the most usual name counts
    state = {f"0.{name}": tensor for name, tensor in NET.state_dict().items()}
    assert read_weights(saved(tmp_path / "net.pt", {**checkpoint, key: state}), layers).left == [
        "0.bias",
        "0.weight",
    ]
    assert path.exists()


def test_of_several_state_dicts_the_one_with_the_layers_is_taken_or_all_are_named(
    tmp_path: Path,
) -> None:
    ours, theirs = ({f"{name}.weight": torch.ones(1, 1)} for name in ("enc", "dec"))
    path = saved(tmp_path / "net.pt", {"first": theirs, "second": ours})
    assert read_weights(path, {"enc"}).left == ["enc.weight"]
    assert read_weights(path, {"enc"}).notices == []
    path = saved(tmp_path / "net.pt", {"ema": ours, "model": dict(ours)})
    assert read_weights(path, {"enc"}).notices == ["the weights are those under 'model', not 'ema'"]
    path = saved(tmp_path / "net.pt", {"ema": ours, "best": dict(ours)})
    refused(path, "several state dicts, 'ema', 'best'; save one of them alone")


@pytest.mark.parametrize("before", ["module.", "_orig_mod.", "model.", "module._orig_mod.net."])
def test_what_wrappers_put_before_the_keys_is_taken_off(before: str, tmp_path: Path) -> None:
    state = {f"{before}0.{name}": tensor for name, tensor in NET.state_dict().items()}
    loss = {"criterion.weight": torch.ones(3), f"{before}loss.weight": torch.ones(3)}
    path = saved(tmp_path / "last.ckpt", lightning() | {"state_dict": state | loss})
    weights = read_weights(path, {"0", "norm"})
    assert weights.left == ["0.bias", "0.weight", "criterion.weight", "loss.weight"]
    assert torch.equal(weights.take("0.weight", (2, 3)), NET.weight.double())
    assert f"{before}loss.weight" in read_weights(path, {f"{before}0"}).left


def test_of_two_networks_with_the_layers_in_one_state_dict_none_is_taken(tmp_path: Path) -> None:
    state = {f"{one}.0.weight": torch.ones(2, 3) for one in ("student", "teacher")}
    path = saved(tmp_path / "net.pt", state)
    with pytest.raises(ArtifactError, match=r"begin with 'student\.', 'teacher\.'; write"):
        read_weights(path, {"0"})
    assert read_weights(path, {"teacher.0"}).left == ["student.0.weight", "teacher.0.weight"]
    more = saved(tmp_path / "net.pt", state | {"student.1.weight": torch.ones(2, 3)})
    assert read_weights(more, {"0", "1"}).left == ["0.weight", "1.weight", "teacher.0.weight"]


def test_what_belongs_to_no_layer_is_named_with_what_ignores_it(tmp_path: Path) -> None:
    state = {**NET.state_dict(), "loss.scale": torch.ones(1), "steps": torch.tensor(3)}
    weights = read_weights(saved(tmp_path / "net.pt", state))
    for key, shape in {"weight": (2, 3), "bias": (2,)}.items():
        weights.take(key, shape)
    with pytest.raises(ArtifactError, match=r'"ignore": \["loss\.\*", "steps"\] in the JSON file'):
        weights.check_all_taken()
    weights.ignore(["loss.*"])
    with pytest.raises(ArtifactError, match=r"takes 'steps'; if"):
        weights.check_all_taken()
    weights.ignore(["st?ps"])
    weights.check_all_taken()
    assert weights.notices == [
        "left out of the weights: loss.scale",
        "left out of the weights: steps",
    ]


def test_a_key_that_is_not_there_is_told_with_those_that_are_near(tmp_path: Path) -> None:
    weights = read_weights(saved(tmp_path / "net.pt", NET.state_dict()))
    with pytest.raises(ArtifactError, match=r"net.pt: 'wight' is not there; the file has weight"):
        weights.take("wight", (2, 3))
    with pytest.raises(ArtifactError, match=r"'weight' has shape \[2, 3\], not \[any\]"):
        weights.take("weight", (None,))

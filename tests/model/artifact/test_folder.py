"""Loading an artifact trusts nothing."""

import json
import pickle
import shutil
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from model import ArtifactError, load
from model.artifact.card import Card
from model.artifact.folder import CARD, WEIGHTS, read, save

Tensors = dict[str, Tensor]


@pytest.fixture
def copy(regression_artifact: Path, tmp_path: Path) -> Path:
    """An artifact to damage."""
    return Path(shutil.copytree(regression_artifact, tmp_path / "copy"))


def refused(folder: Path, *said: str) -> str:
    """The message with which loading refuses a folder; it names the folder and says the words."""
    with pytest.raises(ArtifactError) as caught:
        load(folder)
    message = str(caught.value)
    assert str(folder) in message
    for words in said:
        assert words in message
    return message


def rewrite_card(folder: Path, change: Callable[[Any], None]) -> None:
    """Edit the card's JSON and nothing else."""
    content = json.loads((folder / CARD).read_text())
    change(content)
    (folder / CARD).write_text(json.dumps(content))


def reseal(folder: Path) -> None:
    """Make the card fit its content and the weights, as one does who means to deceive."""
    content = json.loads((folder / CARD).read_text())
    content["weights_sha256"] = sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    card = Card.model_validate_json(json.dumps(content))
    card = card.model_copy(update={"version": card.content_hash()})
    (folder / CARD).write_text(card.model_dump_json())


def rewrite_weights(folder: Path, change: Callable[[Tensors], None]) -> None:
    """Change the tensors and seal the artifact again."""
    tensors = safetensors.torch.load_file(folder / WEIGHTS)
    change(tensors)
    safetensors.torch.save_file(tensors, folder / WEIGHTS)
    reseal(folder)


def weights_of(header: object, data: bytes) -> bytes:
    """A safetensors file with any header."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_what_is_saved_is_what_is_loaded(artifact: Path, tmp_path: Path) -> None:
    made = read(artifact)
    written = save(tmp_path / "again", made)
    again = read(tmp_path / "again")
    assert written == again.card == made.card
    assert all(map(torch.equal, made.networks.parameters(), again.networks.parameters()))
    assert made.seen
    assert again.seen
    assert (made.seen.all == again.seen.all).all()
    for name in (CARD, WEIGHTS):
        assert (tmp_path / "again" / name).read_bytes() == (artifact / name).read_bytes()


def test_a_loaded_network_is_float32_and_asks_for_no_gradient(artifact: Path) -> None:
    network = read(artifact).networks.members[0]
    assert {weight.dtype for weight in network.parameters()} == {torch.float32}
    assert not any(weight.requires_grad for weight in network.parameters())


def test_loading_leaves_the_global_random_state_alone(regression_artifact: Path) -> None:
    before = torch.get_rng_state()
    read(regression_artifact)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_artifact_holds_two_files_that_others_may_read(regression_artifact: Path) -> None:
    assert sorted(path.name for path in regression_artifact.iterdir()) == [CARD, WEIGHTS]
    assert regression_artifact.stat().st_mode & 0o777 == 0o755


# Damage


@pytest.mark.parametrize("name", [CARD, WEIGHTS])
def test_a_file_cut_short_anywhere_is_refused(copy: Path, name: str) -> None:
    whole = (copy / name).read_bytes()
    for at in {0, 1, 7, 8, 9, *range(0, len(whole) - 2, 97), len(whole) - 2}:
        (copy / name).write_bytes(whole[:at])
        refused(copy, name)


def test_any_flipped_bit_of_the_weights_is_refused(copy: Path) -> None:
    whole = (copy / WEIGHTS).read_bytes()
    for at in {0, 7, 8, len(whole) - 1, *range(0, len(whole), 61)}:
        bad = bytearray(whole)
        bad[at] ^= 1 << at % 8
        (copy / WEIGHTS).write_bytes(bad)
        refused(copy, WEIGHTS, "SHA-256")


def test_any_flipped_bit_of_the_card_is_refused_or_changes_nothing(copy: Path) -> None:
    """A digit beyond the precision of a number, or the case of an exponent, changes nothing."""
    whole, card = (copy / CARD).read_bytes(), read(copy)[0]
    harmless = 0
    for at in range(0, len(whole), 5):
        bad = bytearray(whole)
        bad[at] ^= 1 << at % 8
        (copy / CARD).write_bytes(bad)
        try:
            assert read(copy)[0] == card
        except ArtifactError:
            continue
        harmless += 1
    assert harmless < len(whole) / 5 / 50


@pytest.mark.parametrize("name", [CARD, WEIGHTS])
def test_a_missing_file_is_refused(copy: Path, name: str) -> None:
    (copy / name).unlink()
    refused(copy, name, "No such file")


def test_a_folder_that_is_none_is_refused(copy: Path) -> None:
    refused(copy / "nowhere", CARD, "No such file")
    refused(copy / CARD, CARD, "Not a directory")


@pytest.mark.parametrize("name", [CARD, WEIGHTS])
def test_a_file_that_is_none_is_refused(copy: Path, name: str) -> None:
    (copy / name).unlink()
    (copy / name).mkdir()
    refused(copy, name, "is not a file")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x00\xff" * 500_000, "not JSON"),
        (b"[" * 1_000_000, "not JSON"),
        (b'{"a":' * 100_000, "not JSON"),
        (b"", "not JSON"),
        (b"null", "card"),
        (b"[]", "card"),
        (b"{}", "name"),
        (b'{"format": ' + b"9" * 5000 + b"}", "not JSON"),
        (b"[" + b"1," * 500_000 + b"1]", "card"),
        (b'"' + b"a" * 1_000_000 + b'"', "card"),
    ],
)
def test_a_card_of_anything_else_is_refused(copy: Path, content: bytes, said: str) -> None:
    (copy / CARD).write_bytes(content)
    message = refused(copy, CARD, said)
    assert len(message) < 1000
    assert "\n" not in message


def test_a_card_of_more_than_64_mib_is_not_read(copy: Path) -> None:
    with (copy / CARD).open("wb") as file:
        file.truncate((64 << 20) + 1)
    refused(copy, CARD, "67108865 bytes")


def test_a_pickle_is_never_read(copy: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (copy / "sprung",))

    (copy / WEIGHTS).write_bytes(pickle.dumps(Trap()))
    refused(copy, WEIGHTS, "SHA-256")
    reseal(copy)
    refused(copy, WEIGHTS, "no safetensors file")
    assert not (copy / "sprung").exists()


# Contradictions


def test_a_card_edited_by_hand_is_refused(copy: Path) -> None:
    rewrite_card(copy, lambda card: card["metrics"].update(rmse=0.001))
    refused(copy, CARD, "was changed after it was written")


def test_the_card_of_another_model_is_refused(copy: Path, two_target_artifact: Path) -> None:
    shutil.copy(two_target_artifact / CARD, copy / CARD)
    refused(copy, WEIGHTS, "not the file that the card describes")


def test_the_card_of_another_model_is_refused_even_if_it_is_sealed_again(
    copy: Path, two_target_artifact: Path
) -> None:
    shutil.copy(two_target_artifact / CARD, copy / CARD)
    reseal(copy)
    refused(copy, "layers.2.", "the card says [4")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.update({"layers.1.weight": torch.zeros(16, 17)}), "shape [16, 17]"),
        (lambda t: t.update({"layers.1.weight": torch.zeros(256)}), "shape [256]"),
        (lambda t: t.update({"layers.1.bias": torch.zeros(0)}), "shape [0]"),
        (lambda t: t["layers.0.weight"].view(-1)[3:4].fill_(torch.nan), "not finite"),
        (lambda t: t["layers.2.bias"].view(-1)[:1].fill_(torch.inf), "not finite"),
        (lambda t: t["layers.1.weight"][:1].copy_(-torch.inf * torch.ones(16)), "not finite"),
        (lambda t: t.update({k: v.double() for k, v in t.items()}), "F64"),
        (lambda t: t.update({k: v.bfloat16() for k, v in t.items()}), "BF16"),
        (lambda t: t.update({k: v.int() for k, v in t.items()}), "I32"),
        (lambda t: t.pop("layers.0.bias"), "is missing"),
        (lambda t: t.update({"extra": torch.zeros(1)}), "has no place"),
        (lambda t: t.pop("similarity.centre"), "'similarity.centre' is missing"),
        (lambda t: t["similarity.reference"][:1].fill_(torch.nan), "not finite"),
        (lambda t: t.update({"similarity.scores": torch.zeros(3)}), "shape [3]"),
        (lambda t: t["similarity.scores"].copy_(t["similarity.scores"].flip(0)), "not ascend"),
        (lambda t: t.pop("seen.fitted"), "'seen.fitted' is missing"),
        (
            lambda t: t.update({"seen.fitted": t["seen.fitted"].double()}),
            "F64 numbers, not I64",
        ),
        (lambda t: t.update({"seen.fitted": t["seen.fitted"][1:]}), "the card says [170]"),
        (lambda t: t["seen.fitted"].copy_(t["seen.fitted"].flip(0)), "not ascend"),
        (lambda t: t.clear(), "is missing"),
    ],
)
def test_weights_that_do_not_fit_the_card_are_refused(
    copy: Path, change: Callable[[Tensors], None], said: str
) -> None:
    rewrite_weights(copy, change)
    refused(copy, WEIGHTS, said)


@pytest.mark.parametrize("kind", ["F4", "F8_E8M0", "F6_E2M3", "C64", "U64", "BOOL", "X9"])
def test_weights_in_an_unknown_number_format_are_refused(copy: Path, kind: str) -> None:
    size = {"F4": 2, "F6_E2M3": 3, "C64": 32, "U64": 32}.get(kind, 4)
    header = {"layers.0.bias": {"dtype": kind, "shape": [4], "data_offsets": [0, size]}}
    (copy / WEIGHTS).write_bytes(weights_of(header, bytes(size)))
    reseal(copy)
    refused(copy, WEIGHTS)


@pytest.mark.parametrize("shape", [[1 << 40], [1 << 32, 1 << 32], [-1]])
def test_a_tensor_that_declares_more_than_there_is_is_refused(copy: Path, shape: list[int]) -> None:
    header = {"layers.0.bias": {"dtype": "F32", "shape": shape, "data_offsets": [0, 4]}}
    (copy / WEIGHTS).write_bytes(weights_of(header, bytes(4)))
    reseal(copy)
    refused(copy, WEIGHTS, "no safetensors file")


def test_weights_larger_than_the_card_says_are_refused_without_being_read(copy: Path) -> None:
    with (copy / WEIGHTS).open("ab") as file:
        file.truncate(1 << 40)  # a sparse file
    refused(copy, WEIGHTS, "1099511627776 bytes")


def test_weights_of_another_shape_are_refused_before_memory_is_taken(copy: Path) -> None:
    rewrite_card(copy, lambda card: card["architecture"].update(hidden=[400_000, 16]))
    rewrite_weights(copy, lambda tensors: tensors.update({"extra": torch.zeros(16_000_000)}))
    refused(copy, WEIGHTS, "extra")
    tracemalloc.start()
    refused(copy, WEIGHTS, "extra")
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_a_network_of_terabytes_is_refused_without_being_built(copy: Path) -> None:
    widths = [1 << 20] * 8
    architecture = {"hidden": widths, "dropout": [0.1] * 9}
    rewrite_card(copy, lambda card: card["architecture"].update(architecture))
    reseal(copy)
    script = f"""if True:
        import resource
        from pathlib import Path
        from model import ArtifactError, load
        in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (in_use + (64 << 20),) * 2)
        try:
            load({str(copy)!r})
        except ArtifactError as error:
            print(error)
        """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "the card says [1048576" in done.stdout, done.stderr


# Links


def test_a_link_out_of_the_folder_is_refused(copy: Path) -> None:
    outside = copy.parent / "elsewhere"
    shutil.move(copy / WEIGHTS, outside)
    (copy / WEIGHTS).symlink_to(outside)
    refused(copy, WEIGHTS, "leaves the folder", str(outside))


def test_a_link_to_a_folder_that_only_begins_like_this_one_is_refused(copy: Path) -> None:
    sibling = copy.with_name("copy-2")
    sibling.mkdir()
    shutil.move(copy / CARD, sibling / CARD)
    (copy / CARD).symlink_to(Path("..", "copy-2", CARD))
    refused(copy, CARD, "leaves the folder")


def test_a_link_to_itself_is_refused(copy: Path) -> None:
    (copy / CARD).unlink()
    (copy / CARD).symlink_to(CARD)
    refused(copy, CARD)


def test_links_inside_the_folder_load_as_kubernetes_mounts_them(copy: Path) -> None:
    expected = read(copy)[0]
    data = copy / "..2026_01_01"
    data.mkdir()
    (copy / "..data").symlink_to(data.name)
    for name in (CARD, WEIGHTS):
        shutil.move(copy / name, data / name)
        (copy / name).symlink_to(Path("..data", name))
    assert read(copy)[0] == expected
    (copy.parent / "mounted").symlink_to(copy)
    assert read(copy.parent / "mounted")[0] == expected

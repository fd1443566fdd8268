"""A file of torch has the network in torch's own layers."""

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from model import InputError, Predictor, export_torch, wrap
from model.commands import main
from tests.model.exploration.networks import predictor_of, random_network
from tests.model.exporting.test_onnx_file import FEATURES, MODELS, encoded
from tests.model.importing.networks import PRICE


def loaded(predictor: Predictor) -> Any:
    return torch.load(io.BytesIO(export_torch(predictor)), weights_only=False)


@pytest.mark.parametrize("name", ["GELU", "norms", "classes", "log", "heteroscedastic"])
def test_a_file_of_torch_has_the_outputs_and_the_dropout_of_the_network(name: str) -> None:
    predictor = MODELS[name]()
    module, x = loaded(predictor), torch.from_numpy(encoded(predictor))
    assert type(module) is nn.Sequential
    assert {type(each).__module__.split(".")[0] for each in module} == {"torch"}
    assert not module.training
    torch.testing.assert_close(module(x), predictor.networks.members[0](x), rtol=1e-5, atol=1e-5)
    rates = [each.p for each in module if isinstance(each, nn.Dropout)]
    assert [rate for rate in rates if rate] == [
        rate for rate in predictor.card.architecture.dropout if rate
    ]


def test_a_file_of_torch_can_be_wrapped_again() -> None:
    predictor = MODELS["norms"]()
    x = torch.from_numpy(encoded(predictor))
    module = loaded(MODELS["ReLU"]())
    again = wrap(module, FEATURES, PRICE)
    torch.testing.assert_close(again.networks.members[0](x), module(x), rtol=1e-5, atol=1e-6)


def test_members_are_a_list_of_modules_and_input_noise_is_refused() -> None:
    predictor = MODELS["members"]()
    modules, x = loaded(predictor), torch.from_numpy(encoded(predictor))
    assert (type(modules), len(modules)) == (nn.ModuleList, 3)
    for module, member in zip(modules, predictor.networks, strict=True):
        torch.testing.assert_close(module(x), member(x))
    noisy = predictor_of(random_network(4, (8,), (0.1, 0.2), input_noise=0.3))
    with pytest.raises(InputError, match=r"torch: the model has Gaussian input noise \(0.3\)"):
        export_torch(noisy)


def test_where_one_form_is_refused_no_other_is_written(tmp_path: Path) -> None:
    noisy = predictor_of(random_network(4, (8,), (0.1, 0.2), input_noise=0.3))
    noisy.save(tmp_path / "noisy", name="noisy")
    files = ["--onnx", str(tmp_path / "a.onnx"), "--torch", str(tmp_path / "a.pt")]
    assert main(["export", str(tmp_path / "noisy"), *files]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["noisy"]

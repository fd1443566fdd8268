"""A module in memory becomes a model in one line."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from model import InputError, PredictOptions, calibrate, load, wrap
from model.commands import main
from tests.model.importing.networks import DEAR, FEATURES, PRICE, network, noisy, rows, table


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


class Functional(nn.Module):
    """As people write it: layers in `__init__`, the rest in `forward`."""

    def __init__(self, always: bool = False) -> None:
        super().__init__()
        self.fc1, self.fc2, self.out = nn.Linear(4, 16), nn.Linear(16, 8), nn.Linear(8, 1)
        self.always = always

    def forward(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
        if scale is not None:
            x = x * scale
        x = x.view(x.size(0), -1).float()
        x = F.dropout(F.relu(self.fc1(x)), 0.3, training=self.training or self.always)
        x = F.dropout(torch.relu(self.fc2(x)), p=0.1, training=self.training or self.always)
        return self.out(x).squeeze(-1)


class OnlyInTraining(nn.Module):
    """The dropout is in a branch, and a loss with weights of its own is beside the network."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(4, 8), nn.Linear(8, 8)])
        self.drops = nn.ModuleList([MCDropout(0.2), MCDropout(0.4)])
        self.head = nn.Linear(8, 1)
        self.criterion = nn.CrossEntropyLoss(weight=torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        for linear, drop in zip(self.blocks, self.drops, strict=True):
            x = torch.tanh(linear(x))
            if self.training:
                x = drop(x)
        return self.head(x)  # type: ignore[no-any-return]


class MCDropout(nn.Dropout):
    """A dropout that stays on."""

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, True)


class OwnLinear(nn.Linear):
    """A linear layer with another start."""

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=0.5)
        nn.init.ones_(self.bias)


class Standardising(nn.Module):
    """Inputs and output are standardised within."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.2, -0.5, 0.5, 0.5]))
        self.register_buffer("std", torch.tensor([1.5, 0.8, 0.5, 2.0]))
        self.net, self.unit = network(1), nn.Parameter(torch.tensor([3.0]))

    def forward(self, x: Tensor) -> Tensor:
        return 2 - self.net((x - self.mean) / self.std) * self.unit + 1.5  # type: ignore[no-any-return]


class Lit(nn.Module):
    """A LightningModule in form: the network inside, metrics and optimizer around it."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.loss_fn = net, nn.MSELoss()
        self.register_buffer("best", torch.tensor(0.3))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)  # type: ignore[no-any-return]

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        return self.loss_fn(self(batch[0]), batch[1])  # type: ignore[no-any-return]


def normed() -> nn.Module:
    net = nn.Sequential(
        nn.BatchNorm1d(4), nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(inplace=True),
        nn.Dropout(0.2), nn.Linear(16, 8, bias=False), nn.LayerNorm(8, eps=1e-3), nn.ReLU(),
        nn.Dropout(0.1), nn.Identity(), nn.Linear(8, 1), nn.Flatten(0),
    )  # fmt: skip
    for _ in range(5):
        net(3 + 2 * torch.randn(64, 4))
    return net


def parallel() -> nn.Module:
    return nn.DataParallel(torch.compile(network(1)))  # type: ignore[arg-type]


WRAPPED: dict[str, Callable[[], nn.Module]] = {
    "Sequential": lambda: network(1),
    "norms": normed,
    "functional": Functional,
    "always on": lambda: Functional(always=True),
    "a branch in training": OnlyInTraining,
    "Lightning": lambda: Lit(nn.Sequential(nn.Sequential(OwnLinear(4, 8), nn.ELU()),
                                           nn.Dropout(0.3), nn.Linear(8, 1))),
    "standardising": Standardising,
    "compiled": lambda: torch.compile(network(1)),
    "compiled within": lambda: Lit(torch.compile(network(1))),  # type: ignore[arg-type]
    "compiled and parallel": parallel,
    "weight norm": lambda: nn.Sequential(weight_norm(nn.Linear(4, 8)), nn.SiLU(), nn.Linear(8, 1)),
    "double precision": lambda: network(1).double(),
    "half precision": lambda: network(1).bfloat16(),
}  # fmt: skip


@contextmanager
def mode(module: nn.Module, training: bool) -> Iterator[None]:
    """In training mode, but for the norms, as Monte-Carlo dropout is done by hand."""
    before = {part: part.training for part in module.modules()}
    module.train(training)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d):
            part.eval()
    yield
    for part, was in before.items():
        part.training = was


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # torch.compile's own
@pytest.mark.parametrize("name", WRAPPED)
def test_a_module_becomes_a_model_that_computes_what_it_computes(name: str) -> None:
    module = WRAPPED[name]().train()
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    random = torch.get_rng_state()
    cells, x = rows(20, 1)
    predictor = wrap(module, FEATURES, PRICE, rows=cells, name="flats")
    assert module.training
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(before[key], each) for key, each in module.state_dict().items())
    found = predictor.predict(cells, PredictOptions(seed=0, passes=400, estimator="plain")).rows
    inner = getattr(module, "module", module)
    inner = getattr(inner, "_orig_mod", inner)
    if name in ("compiled within", "half precision", "double precision"):
        return  # the comparison in `wrap` has run it
    with mode(inner, False), torch.no_grad():
        own = inner(x).flatten().numpy() * 80 + 300
    if name not in ("always on", "a branch in training"):
        np.testing.assert_allclose([row.deterministic for row in found], own, rtol=1e-4)
    with mode(inner, True), torch.no_grad():
        loop = torch.stack([inner(x).flatten() for _ in range(1500)]).numpy() * 80 + 300
    for row, naive in zip(found, loop.T, strict=True):
        error = math.hypot(row.mean_error, naive.std() / math.sqrt(1500))
        assert abs(row.mean - naive.mean()) < 5 * error + 1e-3
    spread = np.mean([row.variance for row in found])
    assert spread == pytest.approx(loop.var(0).mean(), rel=0.15, abs=1e-4)


def test_a_dropout_that_is_off_in_training_too_is_none() -> None:
    class Off(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = network(1)

        def forward(self, x: Tensor) -> Tensor:
            return self.net(torch.dropout(x, 0.5, train=False))  # type: ignore[no-any-return]

    card = wrap(Off(), FEATURES, PRICE).card
    assert card.architecture.dropout == (0.0, 0.2)


def test_what_the_output_does_not_depend_on_is_left_out_and_said() -> None:
    card = wrap(OnlyInTraining(), FEATURES, PRICE).card
    assert card.training.notices == (
        "left out, because the output does not depend on them: criterion.weight",
    )
    assert card.architecture.dropout == (0, 0.2, 0.4)
    assert card.name == "OnlyInTraining"
    assert wrap(Functional(), FEATURES, PRICE).card.training.notices == ()
    assert wrap(Standardising(), FEATURES, PRICE).card.training.notices == ()
    assert wrap(WRAPPED["weight norm"](), FEATURES, PRICE).card.training.notices == ()


def test_a_wrapped_module_is_saved_calibrated_and_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells, x = rows(20, 1)
    frame = pd.DataFrame(cells, columns=["area", "rooms", "quarter"])
    net = network(1)
    saved = wrap(net, FEATURES, PRICE, rows=frame, name="flats").save(tmp_path / "flats")
    calibrate(tmp_path / "flats", table(1, noisy(25.0)))
    predictor = load(tmp_path / "flats")
    found = predictor.predict(frame, PredictOptions(seed=0))
    assert {row.warnings for row in found.rows} == {()}
    assert found.rows[0].deterministic == pytest.approx(net(x)[0].item() * 80 + 300)
    assert saved.version == wrap(net, FEATURES, PRICE, name="flats").card.version
    assert main(["show", str(tmp_path / "flats")]) == 0
    assert "wrapped    from a module of class Sequential\n" in capsys.readouterr().out


@pytest.mark.parametrize("end", [None, nn.Sigmoid(), nn.Softmax(-1), nn.LogSoftmax(1)])
def test_a_classifier_may_end_in_probabilities(end: nn.Module | None) -> None:
    outputs = 1 if end is None or isinstance(end, nn.Sigmoid) else 2
    module = nn.Sequential(*network(outputs), *([end] if end else []))
    cells, x = rows(20, 1)
    predictor = wrap(module, FEATURES, DEAR, rows=cells)
    found = [row.deterministic["yes"] for row in predictor.predict(cells).rows]
    logits = network(outputs)(x)
    expected = logits.sigmoid()[:, 0] if outputs == 1 else logits.softmax(-1)[:, 1]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_log_variances_and_examples_are_told_as_to_import() -> None:
    cells, x = rows(5, 1)
    net = network(2)
    example = {"row": cells[0], "output": net(x)[0, 0].item() * 80 + 300}
    predictor = wrap(net, FEATURES, PRICE, noise="heteroscedastic", examples=[example])
    expected = net(x)[:, 1].double().exp().numpy() * 80**2
    found = [row.noise_variance for row in predictor.predict(cells).rows]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    with pytest.raises(InputError, match=r"examples.0.output: the network gives"):
        wrap(net, FEATURES, "price", noise="heteroscedastic", examples=[example])


def test_several_modules_are_the_members_of_one_model() -> None:
    nets = [nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 1))
            for _ in range(3)]  # fmt: skip
    predictor = wrap(nn.ModuleList(nets), ["age", "load"], "wear")
    assert len(predictor.networks) == 3
    x = torch.rand(4, 2)
    found = [row.deterministic for row in predictor.predict(x).rows]
    with torch.no_grad():
        own = torch.stack([net.eval()(x)[:, 0] for net in nets]).mean(0)
    np.testing.assert_allclose(found, own, rtol=1e-5)
    nets[1][2] = nn.Dropout(0.2)
    with pytest.raises(InputError, match="those of member 1 differ"):
        wrap(nets, ["age", "load"], "wear")
    nets[1] = nn.Sequential(nn.Linear(2, 9), nn.ReLU(), nn.Dropout(0.1), nn.Linear(9, 1))
    with pytest.raises(InputError, match=r"weights: all members have one shape"):
        wrap(nets, ["age", "load"], "wear")

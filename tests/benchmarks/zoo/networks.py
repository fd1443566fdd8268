"""The networks of the zoo: what each is trained on and how; trained once, then read from a folder.

A network is kept under its name and a digest of its definition. It is trained again where the
definition has changed or the artifact cannot be read, but not where the code has: `stale` names
those that other code has trained.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np

import model
from model import ArtifactError, Predictor, Split, Table, TrainOptions, load, read_table, train
from model.data.preparation import encode_table, encode_target
from tests.benchmarks.zoo.laws import LAWS, Drawn

CALIBRATION, TEST = 1_999, 2_000  # rows that a law draws; the former promise exact coverage
VALIDATION = 1 / 7  # of the rows that the weights and the noise learn from, as by default
SHARES = (0.6, 0.7, 1.0)  # of a set's train rows: up to training, validation, calibration
TESTED = 0.25  # of a table without published splits


@dataclass(frozen=True)
class Network:
    """A network of the zoo.

    `source`: a law, or a file of `--data`, with a published split if there is a `split`. `rows`: of
    a law those that are learned from, of a file the most that are taken. `calibration`: of a law.
    `options`: of TrainOptions; none means the defaults of `train`.
    """

    name: str
    source: str
    rows: int = 1_400
    options: dict[str, object] = field(default_factory=dict)
    split: int | None = None
    calibration: int = CALIBRATION

    @property
    def default(self) -> bool:
        """Whether the network is as `train` chooses it; epochs apart, which only save time."""
        return not set(self.options) - {"epochs"}

    @property
    def of_a_law(self) -> bool:
        """Whether the truth is known."""
        return self.source in LAWS

    @property
    def folder(self) -> str:
        """Where the network is kept."""
        digest = sha256(repr(self).encode()).hexdigest()[:8]
        return f"{self.name.replace(' ', '-')}-{digest}"


def _net(
    hidden: tuple[int, ...], rate: float, noise: str = "heteroscedastic", **others: object
) -> dict[str, object]:
    return {"hidden": hidden, "dropout": (rate,), "noise": noise, "epochs": 150, **others}


_SAME = "homoscedastic"
_NAVAL = "naval-propulsion-plant"

ZOO = (
    Network("quiet 2", "no noise", options=_net((100, 100), 0.1)),
    Network("quiet 3 same", "no noise", 3_500, _net((100,) * 3, 0.01, _SAME)),
    Network("quiet 4", "no noise", options=_net((50,) * 4, 0.02)),
    Network("linear default", "linear"),
    Network("linear default 3", "linear", 6_000, {"epochs": 100}),
    Network("smooth 1", "some noise", options=_net((50,), 0.2)),
    Network("smooth 2 rare drops", "some noise", options=_net((100, 100), 0.005)),
    Network("smooth 2 same", "some noise", options=_net((50, 50), 0.1, _SAME)),
    Network("smooth 2 half", "some noise", options=_net((100, 100), 0.5, _SAME)),
    Network("smooth 3", "some noise", options=_net((64,) * 3, 0.1)),
    Network("smooth default 3", "some noise", 6_000, {"epochs": 100}),
    Network("noise default", "all noise"),
    Network("noise 3", "all noise", options=_net((100,) * 3, 0.02)),
    Network("heavy default", "heavy tails"),
    Network("heavy 3 same", "heavy tails", options=_net((64,) * 3, 0.05, _SAME)),
    Network("steps 2 same", "steps", options=_net((100, 100), 0.02, _SAME)),
    Network("steps 3", "steps", options=_net((50,) * 3, 0.2)),
    Network("uneven default", "uneven noise"),
    Network("uneven 2", "uneven noise", options=_net((100, 100), 0.3)),
    Network("many default", "many features"),
    Network("many 2 same", "many features", options=_net((50, 50), 0.05, _SAME)),
    Network("few default", "some noise", 120, calibration=199),
    Network("few 2 same", "some noise", 120, _net((50, 50), 0.3, _SAME), calibration=199),
    Network("concrete 2 same", "concrete", options=_net((50, 50), 0.1, _SAME), split=0),
    Network("energy 3", "energy", options=_net((64,) * 3, 0.02), split=0),
    Network("yacht 2", "yacht", options=_net((100, 100), 0.05), split=0),
    Network("wine default", "wine-quality-red", split=0),
    Network("power default 3", "power-plant", options={"epochs": 100}, split=0),
    Network("overlap default", "overlapping classes"),
    Network("overlap 1 half", "overlapping classes", options=_net((50,), 0.5)),
    Network("rare class default", "rare class", 2_800),
    Network("noisy labels default", "noisy labels", 420, calibration=999),
    Network("noisy labels patience", "noisy labels", 420, {"patience": 20}, calibration=999),
    Network("flipped 3", "flipped labels", options=_net((64,) * 3, 0.2)),
    Network("ten classes rare drops", "ten classes", options=_net((100, 100), 0.01)),
    Network("banana 2", "tabular/banana.csv", 4_000, _net((50, 50), 0.2)),
    Network("satimage 2", "tabular/satimage.csv", 4_000, _net((128, 128), 0.2)),
    Network("digits 2", "tabular/mnist_t10k_14x14.csv", 4_000, _net((128, 128), 0.3)),
    Network("penguins default", "tabular/penguins.csv", 4_000),
    *(Network(f"naval default 3 {at}", _NAVAL, split=at) for at in range(3)),
)
SMALL = ("smooth 2 same", "few 2 same", "noisy labels patience")  # trained within seconds


@dataclass(frozen=True)
class Case:
    """A trained network and rows that neither it nor its calibration has seen."""

    network: Network
    predictor: Predictor
    x: np.ndarray  # [B, D] encoded
    y: np.ndarray  # [B] targets in their unit, or class numbers
    unseen: np.ndarray  # [B', D] encoded: the same, then calibration rows, new to the weights
    raw: np.ndarray | None  # [B, features] as a caller has them; None where one is a text
    truth: Drawn | None  # of a law
    training: tuple[np.ndarray, np.ndarray]  # encoded x and y, the rows that the weights saw

    @property
    def regression(self) -> bool:
        """Whether the target is a number."""
        return self.predictor.card.task == "regression"


@dataclass(frozen=True)
class Source:
    """A table with its target last, the rows that each purpose has, and the truth of the test."""

    table: Table
    split: Split  # without test rows, which `train` would look at
    test: np.ndarray
    truth: Drawn | None = None


def case(network: Network, data: Path | None, models: Path, say: Callable[[str], None]) -> Case:
    """The network of this definition with its test rows; trained where it is not there yet."""
    source, folder = sourced(network, data), models / network.folder
    predictor = _kept(folder)
    if predictor is None:
        say(f"training {network.name}")
        trained(network, source, folder)
        predictor = load(folder)
    card, target = predictor.card, predictor.card.target_of_rows
    x, encoded = (
        encode_table(source.table, card.schema_of_rows),
        encode_target(source.table, target),
    )
    numbers = card.task == "regression"
    y = np.asarray(source.table.column(target.names[0]), float) if numbers else encoded
    seen = source.split.seen(refit=True)
    unseen = np.concatenate([x[source.test], x[source.split.calibration]])
    known, raw = (x[seen], encoded[seen]), _raw(source, predictor)
    return Case(
        network, predictor, x[source.test], y[source.test], unseen, raw, source.truth, known
    )


def _raw(source: Source, predictor: Predictor) -> np.ndarray | None:
    columns = [source.table.column(f.name)[source.test] for f in predictor.card.features]
    return None if any(c.dtype == object for c in columns) else np.stack(columns, axis=1)


def trained(network: Network, source: Source, folder: Path) -> None:
    """Train the network into its folder, and note which code has."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    target, name = list(source.table.columns)[-1], network.name.replace(" ", "-")
    options = TrainOptions(**network.options)  # type: ignore[arg-type]
    missing = "impute" if "penguins" in network.source else "error"
    train(
        source.table, target, folder, name=name, missing=missing, options=options,
        split=source.split,
    )  # fmt: skip
    _trainer(folder).write_text(code())


def stale(networks: tuple[Network, ...], models: Path) -> list[str]:
    """The names of the networks that are there and were trained by other code."""
    marks = {network.name: _trainer(models / network.folder) for network in networks}
    return [name for name, mark in marks.items() if mark.exists() and mark.read_text() != code()]


@cache
def code() -> str:
    """A digest of the package `model`."""
    files = sorted(Path(model.__file__).parent.glob("*.py"))
    return sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def _trainer(folder: Path) -> Path:
    return folder.with_suffix(".code")


def _kept(folder: Path) -> Predictor | None:
    """The model that is there; None where none is, or one of another format."""
    try:
        return load(folder)
    except ArtifactError:
        return None


def sourced(network: Network, data: Path | None) -> Source:
    """The rows of a network."""
    if network.of_a_law:
        return _drawn(network)
    if data is None:
        raise ValueError(f"{network.name} is trained on {network.source}, which takes --data")
    return _tabular(network, data) if network.split is None else _published(network, data)


def _drawn(network: Network) -> Source:
    counts = np.cumsum([network.rows, network.calibration, TEST])
    seed = int(sha256(network.name.encode()).hexdigest()[:8], 16)  # no two share their rows
    drawn = LAWS[network.source](np.random.default_rng(seed), int(counts[-1]))
    names = (f"x{at}" for at in range(drawn.x.shape[1]))
    y = (
        drawn.y
        if drawn.noise_variance is not None
        else np.array([f"k{v}" for v in drawn.y], object)
    )
    columns = dict(zip(names, drawn.x.T, strict=True)) | {"y": y}
    digest = sha256(drawn.x.tobytes() + drawn.y.tobytes()).hexdigest()
    learned, calibration, test = np.split(np.arange(counts[-1]), counts[:-1])
    parts = (drawn.noise_variance, drawn.probabilities)
    truth = Drawn(drawn.x[test], drawn.y[test], *(p if p is None else p[test] for p in parts))
    train_rows, validation = np.split(learned, [round(len(learned) * (1 - VALIDATION))])
    split = Split(train_rows, validation, calibration, np.arange(0))
    return Source(Table(network.source, columns, digest), split, test, truth)


def _published(network: Network, data: Path) -> Source:
    """A published split: the test rows as they are, the train rows in parts."""
    folder = data / "uci" / network.source
    rows, inputs = (np.loadtxt(folder / name) for name in ("data.txt", "index_features.txt"))
    known, test = (
        np.loadtxt(folder / f"index_{part}_{network.split}.txt", dtype=np.int64)
        for part in ("train", "test")
    )
    names = {f"f{at}": rows[:, int(at)] for at in inputs}
    columns = names | {"y": rows[:, int(np.loadtxt(folder / "index_target.txt"))]}
    table = Table(network.source, columns, sha256(rows.tobytes()).hexdigest())
    return Source(table, _parted(known), test)


def _tabular(network: Network, data: Path) -> Source:
    table = read_table(str(data / network.source))
    order = np.random.default_rng(0).permutation(table.row_count)[: network.rows]
    test, known = np.split(order, [round(TESTED * len(order))])
    return Source(table, _parted(known), np.sort(test))


def _parted(known: np.ndarray) -> Split:
    order = np.random.default_rng(1).permutation(known)
    cuts = [round(share * len(order)) for share in SHARES]
    return Split(*(np.sort(part) for part in np.split(order, cuts)))

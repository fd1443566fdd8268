"""Tables of known laws, and scikit-learn's diabetes, as a folder for the comparison.

    python -m tests.benchmarks.tabular.generated DIR
    python -m tests.benchmarks.tabular DIR --json FILE

The number in a law's name is that of the rows to learn from. Each split has rows of its own for
that, and all are judged by the same 2,000 others, so that few rows to learn from do not mean few to
be judged by. `generated.jsonl` beside this module has the lines of the page in the docs.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes

SPLITS = 5
TEST_ROWS = 2_000
Draw = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Law:
    """Rows to learn from, inputs, and the target [B] of standard normal inputs [B, D]."""

    rows: int
    inputs: int
    target: Draw


def _line(x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A line in noise with heavy tails: Student's law with three degrees of freedom."""
    return np.asarray(x @ np.linspace(-1.5, 2, x.shape[1]) + 2 * random.standard_t(3, len(x)))


def _surface(x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A smooth surface, with a noise that depends on the row."""
    std = 0.1 + np.abs(x[:, 2])
    return np.asarray(2 * np.sin(x[:, 0]) + x[:, 0] * x[:, 1] + std * random.normal(size=len(x)))


def _steps(x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Steps in three inputs of five."""
    levels = 3 * (x[:, 0] > 0.3) + 2 * (x[:, 1] > -0.5) * (x[:, 2] > 0)
    return np.asarray(levels + 0.5 * random.normal(size=len(x)))


def _parabola(x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A parabola in hardly any rows."""
    return np.asarray(x[:, 0] ** 2 - x[:, 1] + random.normal(size=len(x)))


def _noise(x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Three quarters of the variance are noise."""
    signal = x[:, 0] + np.sin(2 * x[:, 1]) * x[:, 2]
    return np.asarray(signal / signal.std() + np.sqrt(3) * random.normal(size=len(x)))


def _friedman(x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The first function of Friedman 1991, of inputs pressed into (0, 1)."""
    u = 1 / (1 + np.exp(-1.702 * x))
    curve = 10 * np.sin(np.pi * u[:, 0] * u[:, 1]) + 20 * (u[:, 2] - 0.5) ** 2
    return np.asarray(curve + 10 * u[:, 3] + 5 * u[:, 4] + random.normal(size=len(x)))


def _prices(x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Prices: factors that multiply, as their noise does."""
    logs = 4 + 0.5 * x[:, 0] - 0.3 * x[:, 1] + 0.2 * x[:, 2] * (x[:, 3] > 0)
    return np.asarray(np.exp(logs + 0.3 * random.normal(size=len(x))))


def _waves(x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A sine, a parabola and a product."""
    curve = 2 * np.sin(3 * x[:, 0]) + x[:, 1] ** 2 + x[:, 2] * x[:, 3]
    return np.asarray(curve + random.normal(size=len(x)))


def _signs(x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The product of two signs among twelve inputs."""
    return np.asarray(2 * np.sign(x[:, 0] * x[:, 1]) + random.normal(size=len(x)))


LAWS = {
    "line-350": Law(350, 6, _line),
    "surface-700": Law(700, 4, _surface),
    "steps-1200": Law(1_200, 5, _steps),
    "parabola-150": Law(150, 3, _parabola),
    "noise-8000": Law(8_000, 10, _noise),
    "friedman-800": Law(800, 8, _friedman),
    "prices-1000": Law(1_000, 6, _prices),
    "waves-900": Law(900, 5, _waves),
    "signs-400": Law(400, 12, _signs),
}


def write(folder: Path) -> None:
    """All tables, and the index files of those that are drawn."""
    (folder / "csv").mkdir(parents=True, exist_ok=True)
    for at, (name, law) in enumerate(LAWS.items()):
        count, random = SPLITS * law.rows + TEST_ROWS, np.random.default_rng([2026, at])
        x = random.normal(size=(count, law.inputs))
        _save(folder / "csv" / f"{name}.csv", x, law.target(x, random))
        (folder / name).mkdir(exist_ok=True)
        *learned, judged = np.split(np.arange(count), law.rows * np.arange(1, SPLITS + 1))
        for number, rows in enumerate(learned):
            np.savetxt(folder / name / f"index_train_{number}.txt", rows, "%d")
            np.savetxt(folder / name / f"index_test_{number}.txt", judged, "%d")
    patients = load_diabetes(scaled=False)
    _save(folder / "diabetes.csv", patients.data, patients.target)


def _save(path: Path, x: np.ndarray, y: np.ndarray) -> None:
    head = ",".join([*(f"x{at}" for at in range(x.shape[1])), "y"])
    np.savetxt(path, np.column_stack([x, y]), "%.6f", ",", header=head, comments="")


def main() -> None:
    """Write them."""
    parser = argparse.ArgumentParser(description="Tables of known laws, for the comparison.")
    parser.add_argument("folder", type=Path, metavar="DIR", help="where they are written")
    write(parser.parse_args().folder)


if __name__ == "__main__":
    main()

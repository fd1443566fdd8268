# %% [markdown]
# # Which rows to label next
#
# Labels are dear. Nine rows in ten of the pool are of one kind, and random labels are spent on what
# is known already. `rank` names the rows whose labels would tell the network most.

# %%
from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np

import model

OPTIONS = model.TrainOptions(
    members=1, number_encoding="raw", hidden=(50, 50), epochs=100, weight_decay=0.3, seed=1
)
FIRST, ROUND, ROUNDS = 40, 20, 4
PLACES = np.random.default_rng(0).normal(0, 1.5, (6, 4))


def rows_of(kinds: np.ndarray, random: np.random.Generator) -> dict[str, np.ndarray]:
    """A row near the place of each kind, with its target."""
    x = PLACES[kinds] + random.normal(0, 0.5, (len(kinds), 4))
    y = np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] / 2 + abs(x[:, 3]) + random.normal(0, 0.1, len(x))
    return {f"x{at}": x[:, at] for at in range(4)} | {"y": y}


def taken(table: dict[str, np.ndarray], at: np.ndarray) -> dict[str, np.ndarray]:
    """Some rows of a table."""
    return {name: column[at] for name, column in table.items()}


def by_rank(predictor: model.Predictor, pool: dict[str, np.ndarray]) -> np.ndarray:
    """The rows that the model asks for."""
    features = {name: column for name, column in pool.items() if name != "y"}
    return np.array([each.row - 1 for each in model.rank(predictor, features, take=ROUND)])


def at_random(_: model.Predictor, pool: dict[str, np.ndarray]) -> np.ndarray:
    """Rows of the pool, drawn."""
    return np.random.default_rng(len(pool["y"])).choice(len(pool["y"]), ROUND, replace=False)


# %% [markdown]
# Both ways start with the same 40 labels, and train the same network after each 20 more. They are
# judged on rows of all kinds alike.


# %%
def errors(choose: Callable[..., np.ndarray], seed: int) -> list[float]:
    """The RMSE on fresh rows after each round."""
    random = np.random.default_rng(seed)
    pool = rows_of(np.where(random.random(800) < 0.9, 0, random.integers(1, 6, 800)), random)
    fresh = rows_of(random.integers(0, 6, 600), random)
    labelled, rest, found = np.arange(FIRST), np.arange(FIRST, 800), list[float]()
    for _ in range(ROUNDS + 1):
        model.train(taken(pool, labelled), "y", "asked", options=OPTIONS)
        predictor = model.load("asked")
        answer = predictor.predict({n: c for n, c in fresh.items() if n != "y"})
        found.append(float(np.sqrt(np.mean((answer.to_numpy()["mean"] - fresh["y"]) ** 2))))
        chosen = choose(predictor, taken(pool, rest))
        labelled, rest = np.concatenate([labelled, rest[chosen]]), np.delete(rest, chosen)
    return found


# %%
curves = {
    name: np.array([errors(choose, seed) for seed in (1, 2)])
    for name, choose in (("rank", by_rank), ("random", at_random))
}
counts = FIRST + ROUND * np.arange(ROUNDS + 1)
for name, curve in curves.items():
    print(
        name, *(f"{rows}: {error:.2f}" for rows, error in zip(counts, curve.mean(0), strict=True))
    )

# %%
figure, axis = plt.subplots(figsize=(7, 3.4), layout="constrained")
for name, curve in curves.items():
    (line,) = axis.plot(counts, curve.mean(0), marker="o", label=name)
    axis.plot(counts, curve.T, color=line.get_color(), linewidth=0.5)
axis.set(xlabel="labels", ylabel="RMSE on rows of all kinds", title="Labels where they tell most")
axis.legend()
figure.savefig("active_learning.svg")

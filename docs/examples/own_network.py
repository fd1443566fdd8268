# %% [markdown]
# # Bring your own network
#
# A network that was trained elsewhere, here with a plain PyTorch loop, becomes a model in one call.
# It has no intervals yet: rows that it has never seen calibrate it.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

import model

torch.manual_seed(0)
random = np.random.default_rng(0)


def wear(rows: np.ndarray) -> np.ndarray:
    """What the network is to learn: the wear of a part by its age and its load, noisy."""
    age, load = rows.T
    return np.sqrt(age) * (1 + load**2) + random.normal(0, 0.1 + 0.1 * load, len(rows))


rows = random.uniform((0, 0), (9, 2), (1200, 2))
target = wear(rows)
mean, scale = rows[:700].mean(0), rows[:700].std(0)
middle, spread = target[:700].mean(), target[:700].std()


class Wear(nn.Module):
    """A network as people write them: it standardises by itself, and dropout follows each layer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32))
        self.first, self.second, self.last = nn.Linear(2, 64), nn.Linear(64, 64), nn.Linear(64, 1)
        self.dropout = nn.Dropout(0.05)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """The wear of rows [B, 2] in mm, [B, 1]."""
        hidden = self.dropout(torch.relu(self.first((rows - self.mean) / self.scale)))
        return self.last(self.dropout(torch.relu(self.second(hidden)))) * spread + middle


network = Wear()
optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
x, y = (torch.tensor(each[:700], dtype=torch.float32) for each in (rows, target[:, None]))
for _ in range(600):
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(network(x) / spread, y / spread)
    loss.backward()
    optimizer.step()
print(f"loss of the last step {loss.item():.3f}")

# %% [markdown]
# `wrap` reads the layers off, and compares its outputs with the module's on these rows.

# %%
wrapped = model.wrap(
    network.eval(), ["age", "load"], {"name": "wear", "unit": "mm"}, rows=rows[:100]
)
wrapped.save("wear")
unseen = {"age": rows[700:1000, 0], "load": rows[700:1000, 1], "wear": target[700:1000]}
model.calibrate("wear", unseen)

# %%
predictor = model.load("wear")
answer = predictor.predict(rows[1000:], model.PredictOptions(seed=1, coverage=0.9))
held = [
    row.interval.lower <= y <= row.interval.upper
    for row, y in zip(answer.rows, target[1000:], strict=True)
]
print(f"asked 90 %: {np.mean(held):.1%} of the {len(held)} intervals hold the wear")

# %% [markdown]
# Along the age, and past the ages that it has seen (9): the passes drift apart, and warnings come.

# %%
ages = np.linspace(0, 14, 57)
line = predictor.predict(
    np.column_stack([ages, np.full(57, 1.0)]), model.PredictOptions(seed=1, samples=True)
)
figure, axis = plt.subplots(figsize=(7, 3.6), layout="constrained")
lower, upper = (
    np.array([getattr(r.interval, end) for r in line.rows]) for end in ("lower", "upper")
)
axis.fill_between(ages, lower, upper, alpha=0.2, label="90 % interval")
axis.plot(ages, [row.samples[:12] for row in line.rows], color="grey", linewidth=0.5)
axis.plot(ages, [row.mean for row in line.rows], label="mean of the passes")
axis.plot(ages, 2 * np.sqrt(ages), linestyle="--", label="truth")
axis.axvspan(9, 14, color="grey", alpha=0.1, label="warning: outside the training range")
axis.set(xlabel="age", ylabel="wear, mm", title="A network of one's own, with its doubt")
axis.legend(fontsize=8)
figure.savefig("own_network.svg")

# %% [markdown]
# # A regression that may abstain
#
# How many minutes a delivery takes: surely known on a dry road, hardly in the rain. The model
# answers with an interval, and says which answers it stands by. The others go to a person.

# %%
import matplotlib.pyplot as plt
import numpy as np

import model

random = np.random.default_rng(3)


def deliveries(count: int) -> dict[str, np.ndarray]:
    """A simulated table, whose noise depends on the rain, as real noise depends on something."""
    distance, parcels = random.uniform(1, 30, count), random.integers(1, 20, count)
    rain = random.choice(["none", "some", "heavy"], count, p=[0.6, 0.25, 0.15])
    slow = np.select([rain == "none", rain == "some"], [1.0, 1.3], 1.8)
    noise = np.select([rain == "none", rain == "some"], [2.0, 5.0], 20.0)
    minutes = 10 + 2 * distance * slow + 3 * parcels + noise * random.normal(size=count)
    return {"distance": distance, "parcels": parcels, "rain": rain, "minutes": minutes}


known, fresh = deliveries(3000), deliveries(500)

# %% [markdown]
# `train` splits the rows by itself: some fit the weights, some choose, some calibrate. Two small
# members and one rate are enough to see how it works; leave the options out for the best model.

# %%
options = model.TrainOptions(
    seed=3, members=2, hidden=(50,), dropout=(0.05,), number_encoding="raw", epochs=30
)
model.train(known, "minutes", "deliveries", options=options)
predictor = model.load("deliveries")

# %% [markdown]
# Each answer has a mean, the variance across the passes, the noise of the target and an interval
# that holds the minutes of nine fresh deliveries in ten.

# %%
minutes = fresh.pop("minutes")
answer = predictor.predict(fresh, model.PredictOptions(seed=1, coverage=0.9, largest_error=9.0))
first = answer.rows[0]
print(f"{first.mean:.0f} +- {first.std:.1f} (passes) +- {first.noise_variance**0.5:.1f} (noise)")
print(f"90 % interval {first.interval.lower:.0f} to {first.interval.upper:.0f}")
columns = answer.to_numpy()
held = (columns["lower"] <= minutes) & (minutes <= columns["upper"])
print(f"{held.mean():.1%} of the intervals hold the minutes")

# %% [markdown]
# `accept` is the decision, row by row. What it promises stands in `acceptance`: an RMSE of at most
# `bound` over new accepted rows.

# %%
accept, error = columns["accept"], np.abs(columns["mean"] - minutes)
print(f"promised: {answer.acceptance.bound:.1f} at most")
for name, part in (("accepted", accept), ("to a person", ~accept)):
    print(f"{part.sum()} {name}: RMSE {np.sqrt(np.mean(error[part] ** 2)):.1f}")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
total = np.sqrt(columns["total_variance"])
for part, colour, name in (
    (accept, "tab:blue", "accepted"),
    (~accept, "tab:orange", "to a person"),
):
    left.scatter(total[part], error[part], s=8, color=colour, label=name)
left.set(xlabel="total std, minutes", ylabel="absolute error, minutes", title="Doubt and error")
left.legend()
order = np.argsort(total)
share = np.arange(1, len(order) + 1) / len(order)
right.plot(share, np.sqrt(np.cumsum(error[order] ** 2) / np.arange(1, len(order) + 1)))
right.axhline(answer.acceptance.bound, color="grey", linewidth=1, label="promised")
right.axvline(accept.mean(), color="grey", linestyle="--", linewidth=1, label="accepted")
right.set(xlabel="share of rows, least doubt first", ylabel="their RMSE", title="Abstaining pays")
right.legend()
figure.savefig("tabular_regression.svg")

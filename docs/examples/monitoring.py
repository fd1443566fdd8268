# %% [markdown]
# # Watching a served model
#
# The data drifts: week by week one instrument reads higher. No diagnosis has come back yet, but
# the answers themselves tell: distances grow, warnings multiply, label sets get larger.

# %%
from collections import Counter

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from model import MCDropoutClassifier

rows, truth = load_breast_cancer(return_X_y=True)
rows, fresh, truth, later = train_test_split(rows, truth, test_size=0.4, random_state=4)
classifier = MCDropoutClassifier(epochs=30, random_state=4).fit(rows, truth)

# %% [markdown]
# Ten weeks of patients. The first four are as they were; then the instrument that measures the
# first ten features gains three tenths of their spread every week.

# %%
WEEKS = 10
random = np.random.default_rng(4)
spread = rows.std(0) * (np.arange(rows.shape[1]) < 10)


def week(number: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows of a week and their diagnoses."""
    chosen = random.choice(len(fresh), 80, replace=False)
    return fresh[chosen] + 0.3 * max(0, number - 3) * spread, later[chosen]


# %% [markdown]
# While rows are like those that calibrated the model, `distance_p_value` is spread evenly between
# 0 and 1 (or higher): its mean over 80 rows stays above 0.44 in 19 weeks of 20. A mean below that
# is the alarm. It needs no diagnosis, and sees a shift of all rows earlier than a count of rows
# that are each strange.

# %%
closeness, strange, wrong = [], [], []
for number in range(WEEKS):
    measured, diagnoses = week(number)
    answer = classifier.predictions(measured, seed=number)
    values = np.array([row.distance_p_value for row in answer.rows])
    closeness.append(values.mean())
    strange.append(np.mean(values <= 0.05))
    wrong.append(1 - np.mean(classifier.predict(measured) == diagnoses))
    codes = Counter(code.partition(":")[0] for row in answer.rows for code in row.warnings)
    print(
        f"week {number}: mean {closeness[-1]:.2f}, {strange[-1]:.0%} strange, "
        f"{wrong[-1]:.0%} wrong, {dict(codes)}"
    )

# %%
figure, axis = plt.subplots(figsize=(7, 3.4), layout="constrained")
axis.plot(closeness, marker="o", label="mean distance_p_value")
axis.plot(strange, marker="^", label="rows with a distance_p_value of 0.05 or less")
axis.plot(wrong, marker="s", label="errors, known only later")
axis.axhline(0.44, color="grey", linewidth=1, label="alarm")
axis.axvspan(3, WEEKS - 1, color="grey", alpha=0.1)
axis.set(xlabel="week", ylabel="over the rows of the week", title="An alarm without a diagnosis")
axis.legend()
figure.savefig("monitoring.svg")

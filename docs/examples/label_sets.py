# %% [markdown]
# # A classifier that answers with a set
#
# Where a digit can be read in two ways, one label hides it. A label set names every digit that is
# still possible: it holds the true one in as large a share of rows as was asked for.

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from model import MCDropoutClassifier

digits = load_digits()
rows, fresh, labels, truth = train_test_split(
    digits.data, digits.target, test_size=300, random_state=2, stratify=digits.target
)
classifier = MCDropoutClassifier(epochs=30, random_state=2).fit(rows, labels)
print(f"accuracy {classifier.score(fresh, truth):.3f} on {len(fresh)} fresh digits")

# %% [markdown]
# `predict_set` is a table of true and false: which labels each set has.

# %%
for coverage in (0.9, 0.95, 0.99):
    sets = classifier.predict_set(fresh, coverage=coverage)
    held = sets[np.arange(len(truth)), truth].mean()
    print(f"asked {coverage:.0%}: {held:.1%} hold the digit, {sets.sum(1).mean():.2f} labels each")

# %% [markdown]
# The passes disagree where the sets are large: `mutual_information` is what they disagree by,
# `expected_entropy` what each of them doubts by itself.

# %%
answer = classifier.predictions(fresh, coverage=0.99, seed=1)
size = np.array([len(row.label_set.labels) for row in answer.rows])
information = np.array([row.mutual_information for row in answer.rows])
for count in np.unique(size):
    some = size == count
    print(f"sets of {count}: {some.sum()} digits, {information[some].mean():.3f} nats on average")

# %%
doubted = np.argsort(-information)[:8]
figure, axes = plt.subplots(1, 8, figsize=(9, 1.9), layout="constrained")
for axis, index in zip(axes, doubted, strict=True):
    axis.imshow(fresh[index].reshape(8, 8), cmap="Greys")
    axis.set_title("{" + ", ".join(answer.rows[index].label_set.labels) + "}", fontsize=9)
    axis.set_xlabel(f"is a {truth[index]}", fontsize=9)
    axis.set(xticks=[], yticks=[])
figure.suptitle("The eight digits that the passes disagree about most, and their label sets")
figure.savefig("label_sets.svg")

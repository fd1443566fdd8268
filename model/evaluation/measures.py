"""What each metric of the report means, in words."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric in words: its title, which way is better, and what it says."""

    title: str
    better: str
    meaning: str


LOW, HIGH, CLAIMED, BOUNDED = "lower", "higher", "as claimed", "as bounded"
MEASURES = {
    "rmse": Measure(
        "RMSE",
        LOW,
        "Root of the mean squared error, in the target's unit. Large errors weigh most.",
    ),
    "mae": Measure("MAE", LOW, "Mean absolute error, in the target's unit."),
    "r2": Measure(
        "R^2",
        HIGH,
        "Share of the variance of the targets that the predictions explain. Their mean alone "
        "would reach 0.",
    ),
    "log_likelihood": Measure(
        "log-likelihood",
        HIGH,
        "Mean log density of the actual values under the predicted distribution, in nats.",
    ),
    "crps": Measure(
        "CRPS",
        LOW,
        "Error of the predicted distribution, in the target's unit: a Gaussian with mean and std, "
        "or a log-normal law where the logarithm was learned. "
        "With a std of 0 it is the MAE.",
    ),
    "interval_coverage": Measure(
        "interval coverage", CLAIMED, "Share of the targets inside their intervals."
    ),
    "interval_coverage_over_seeds": Measure(
        "mean over seeds", CLAIMED, "Mean of the interval coverage over several random seeds."
    ),
    "interval_coverage_worst_seed": Measure(
        "worst seed", CLAIMED, "Interval coverage with the seed that is farthest from the claim."
    ),
    "interval_width": Measure(
        "interval width",
        LOW,
        "Mean width of the intervals. With dropout off, all rows have conformal intervals of one "
        "width.",
    ),
    "interval_score": Measure(
        "interval score",
        LOW,
        "Mean width of the intervals plus a penalty for each target outside its interval.",
    ),
    "epistemic_interval_coverage": Measure(
        "coverage, passes",
        CLAIMED,
        "Coverage of conformal intervals that use only the std across the passes.",
    ),
    "epistemic_interval_width": Measure(
        "width, passes", LOW, "Mean width of the intervals that use only the std across the passes."
    ),
    "epistemic_interval_score": Measure(
        "score, passes",
        LOW,
        "Interval score of the intervals that use only the std across the passes.",
    ),
    "mean_std": Measure(
        "mean std", "", "Mean predicted std. It includes the noise if the model knows the noise."
    ),
    "mean_epistemic_std": Measure("mean epistemic std", "", "Mean std across the passes."),
    "std_error_correlation": Measure(
        "rank correlation",
        HIGH,
        "Rank correlation of std and absolute error, from -1 to 1. At 0 the std does not tell "
        "which rows have large errors.",
    ),
    "epistemic_error_correlation": Measure(
        "rank correlation, passes",
        HIGH,
        "Rank correlation of the std across the passes and the absolute error.",
    ),
    "aurc": Measure(
        "AURC",
        LOW,
        "Area under the risk-coverage curve: the mean risk if only the least uncertain rows are "
        "answered, averaged over all shares of rows. The risk is the absolute error or, for a "
        "classifier, the error rate.",
    ),
    "accuracy": Measure(
        "accuracy", HIGH, "Share of the rows whose most probable class is the actual class."
    ),
    "log_loss": Measure(
        "log loss", LOW, "Mean negative log probability of the actual class, in nats."
    ),
    "brier": Measure("Brier score", LOW, "Squared error of the probabilities, from 0 to 2."),
    "ece": Measure(
        "ECE",
        LOW,
        "Expected calibration error: mean gap between confidence and accuracy in 15 bins of equal "
        "width.",
    ),
    "ece_equal_mass": Measure(
        "ECE, equal mass", LOW, "Expected calibration error in bins with equally many rows."
    ),
    "auroc": Measure(
        "AUROC",
        HIGH,
        "How well the probabilities separate the classes: 0.5 is chance, 1 is perfect.",
    ),
    "error_auroc": Measure(
        "AUROC of errors",
        HIGH,
        "Probability that a wrong row has more entropy than a right row. 0.5 is chance.",
    ),
    "error_auroc_mutual_information": Measure(
        "AUROC of errors, MI",
        HIGH,
        "Probability that a wrong row has more mutual information than a right row.",
    ),
    "aurc_mutual_information": Measure(
        "AURC, MI", LOW, "AURC with the rows sorted by mutual information instead of entropy."
    ),
    "mean_entropy": Measure("mean entropy", "", "Mean predictive entropy, in nats."),
    "mean_mutual_information": Measure("mean MI", "", "Mean mutual information, in nats."),
    "set_coverage": Measure(
        "label set coverage", CLAIMED, "Share of the rows whose label set holds the actual class."
    ),
    "set_coverage_over_seeds": Measure(
        "mean over seeds", CLAIMED, "Mean of the label set coverage over several random seeds."
    ),
    "set_coverage_worst_seed": Measure(
        "worst seed", CLAIMED, "Label set coverage with the seed that has the lowest."
    ),
    "set_size": Measure("label set size", LOW, "Mean number of labels in a label set."),
    "accepted": Measure(
        "accepted", HIGH, "Share of the rows that are accepted for the largest error named."
    ),
    "accepted_rmse": Measure("RMSE of accepted", BOUNDED, "RMSE of the accepted rows."),
    "accepted_error_rate": Measure(
        "errors of accepted", BOUNDED, "Share of the accepted rows whose predicted class is wrong."
    ),
}
TILES = (
    *("rmse", "interval_coverage", "std_error_correlation", "crps"),
    *("accuracy", "log_loss", "ece", "error_auroc"),
)
"""The metrics in large letters, of those that a task has."""

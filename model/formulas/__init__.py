"""Formulas on numpy arrays: scores, conformal prediction, entropies, bounds, Shapley values."""

from model.formulas import conformal, scores
from model.formulas.bounds import binomial_bound, mean_bound
from model.formulas.conformal import (
    by_group,
    group_quantiles,
    label_sets,
    p_values,
    quantile,
    raps,
    rows_needed,
    sorted_scores,
    true_scores,
    unusual,
)
from model.formulas.entropies import (
    mutual_information,
    mutual_information_error,
    predictive_entropy,
    variation_ratio,
)
from model.formulas.members import StudentParts, VarianceParts
from model.formulas.minimise import least
from model.formulas.scores import mixture_log_density
from model.formulas.shapley import coalitions, exact_shares, sampled_shares

__all__ = [
    "StudentParts",
    "VarianceParts",
    "binomial_bound",
    "by_group",
    "coalitions",
    "conformal",
    "exact_shares",
    "group_quantiles",
    "label_sets",
    "least",
    "mean_bound",
    "mixture_log_density",
    "mutual_information",
    "mutual_information_error",
    "p_values",
    "predictive_entropy",
    "quantile",
    "raps",
    "rows_needed",
    "sampled_shares",
    "scores",
    "sorted_scores",
    "true_scores",
    "unusual",
    "variation_ratio",
]

"""Entropies and mutual information of a classifier's passes, corrected for few passes.

The formulas take statistics of P passes with probabilities p_t [K] and entropies H_t, in numpy
float64: the means of p_k and H, and the covariance (ddof 1) of the K + 1 values (p_1, ..., p_K, H).
The variation ratio takes how often each class came first.

Shapes: P passes, B rows, K classes.
"""

import numpy as np

SMALL_SAMPLE = 10
"""The standard error is multiplied by sqrt(1 + SMALL_SAMPLE / N), because the passes are compared
with their own mean, and their distribution is skewed. Measured, that suffices from 8 to 100
passes."""


def predictive_entropy(
    mean: np.ndarray, variance: np.ndarray, passes: int | np.ndarray
) -> np.ndarray:
    """Entropy in nats [B] of the mean probabilities of infinitely many passes.

    It is computed from the mean and variance (ddof 1) of N passes, both [B, K]. The entropy is
    concave, so the entropy of the mean of N passes is too low, to second order by

        sum_k variance_k / (2 N mean_k).

    This is added, up to a limit of log K. `passes` is N, or [B, 1]. A value in [0, 1] has a
    variance of at most mean (1 - mean) N / (N - 1), so variance_k / mean_k is at most N / (N - 1):
    tiny means need no lower limit. The term is 0 where the mean is 0.
    """
    mean = np.maximum(mean, 0)
    most = mean * (1 - mean) * passes / np.maximum(passes - 1, 1)
    spread = np.clip(variance, 0, np.maximum(most, 0))
    excess = np.divide(spread, 2 * passes * mean, out=np.zeros_like(mean), where=mean > 0)
    plain = -(mean * _log(mean)).sum(-1)
    limit = np.log(mean.shape[-1])
    entropy: np.ndarray = np.minimum(plain + excess.sum(-1), limit)
    return entropy


def mutual_information(
    mean: np.ndarray, variance: np.ndarray, expected: np.ndarray, passes: int | np.ndarray
) -> np.ndarray:
    """Predictive entropy minus expected entropy, in nats [B]: how much the passes disagree (BALD).

    It is corrected like `predictive_entropy`; uncorrected it is about 1 - 1/N times its value.
    `expected` is the average entropy of the passes [B]. It lies between 0 and the predictive
    entropy.
    """
    return np.asarray(np.maximum(predictive_entropy(mean, variance, passes) - expected, 0))


def mutual_information_error(
    mean: np.ndarray, covariance: np.ndarray, passes: int | np.ndarray
) -> np.ndarray:
    """Monte-Carlo standard error [B] of the mutual information, by the delta method.

    `passes` is N, or [B].

    The mutual information is the average over the passes of KL(p_t || mean). Its error is the
    standard deviation of these over sqrt(N). KL(p_t || mean) = -sum_k log(mean_k) p_tk - H_t is
    linear in the K + 1 values of a pass, so their `covariance` [B, K + 1, K + 1] over the passes
    (ddof 1, entropy last) suffices.

    The error is too small if passes rarely disagree and the N passes contain none that does. On
    digits, one error of 100 passes held the truth in 66 % of the runs for rows above .05 nats, in
    48 % from .01 and in 27 % below .001 (two errors: 92, 70 and 42 %).
    """
    gradient = np.concatenate([-_log(mean), -np.ones_like(mean[..., :1])], axis=-1)  # [B, K + 1]
    spread = np.einsum("...i,...ij,...j->...", gradient, covariance, gradient)
    return np.asarray(np.sqrt(np.maximum(spread, 0) / passes * (1 + SMALL_SAMPLE / passes)))


def variation_ratio(counts: np.ndarray) -> np.ndarray:
    """The share of passes [B] that do not put the most frequent class first (Freeman 1965).

    `counts` [B, K]: how many passes put each class first.
    """
    return np.asarray(1 - counts.max(-1) / counts.sum(-1))


def _log(p: np.ndarray) -> np.ndarray:
    """log p, and 0 where p is 0: such a class adds nothing to an entropy."""
    return np.asarray(np.log(p, out=np.zeros_like(p), where=p > 0))

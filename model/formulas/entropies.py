"""How far the passes of a classifier agree: what is biased with few passes, made right.

numpy float64. What an engine must keep of P passes with probabilities p_t [K] and entropies H_t:
the means of p_k and H, and the covariance (ddof 1) of the K + 1 values (p_1, ..., p_K, H) with one
another; for the variation ratio, how often each class came first.

Shapes: P passes, B rows, K classes.
"""

import numpy as np

SMALL_SAMPLE = 10
"""The mean that passes are compared with is their own, and their spread is skewed: the standard
error is widened by sqrt(1 + SMALL_SAMPLE / N), measured to hold from 8 to 100 passes."""


def predictive_entropy(
    mean: np.ndarray, variance: np.ndarray, passes: int | np.ndarray
) -> np.ndarray:
    """Entropy in nats [B] of the probabilities that infinitely many passes would average to.

    From the mean and variance (ddof 1) of N passes, both [B, K]. The entropy is concave, so that of
    the mean is too low, to second order by sum_k variance_k / (2 N mean_k): that is added, up to
    log K. `passes` is N, or every row's own, [B, 1]. A term is at most N / (N - 1), since a value
    in [0, 1] has a variance of at most mean (1 - mean) N / (N - 1): it needs no floor for tiny
    means, and is 0 where the mean is 0.
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
    """How much the passes disagree, in nats [B]: predictive minus expected entropy (BALD).

    Corrected like `predictive_entropy`; uncorrected it is too low by a factor of 1 - 1/N, nearly.
    `expected` is the passes' average entropy [B]. Between 0 and the predictive entropy.
    """
    return np.asarray(np.maximum(predictive_entropy(mean, variance, passes) - expected, 0))


def mutual_information_error(
    mean: np.ndarray, covariance: np.ndarray, passes: int | np.ndarray
) -> np.ndarray:
    """Monte-Carlo standard error [B] of the mutual information, by the delta method.

    `passes` is N, or every row's own, [B].

    The mutual information is the average over the passes of KL(p_t || mean): its error is their
    standard deviation over sqrt(N). KL(p_t || mean) = -sum_k log(mean_k) p_tk - H_t is linear in
    the K + 1 values of a pass, whose `covariance` [B, K + 1, K + 1] over the passes is all it takes
    (ddof 1, entropy last).

    Too small where passes seldom disagree, and those that do are not among the N: on digits one
    error of 100 passes held the truth in 66 % of the runs for rows above .05 nats, in 48 % from .01
    and in 27 % below .001 (two errors: 92, 70 and 42 %).
    """
    gradient = np.concatenate([-_log(mean), -np.ones_like(mean[..., :1])], axis=-1)  # [B, K + 1]
    spread = np.einsum("...i,...ij,...j->...", gradient, covariance, gradient)
    return np.asarray(np.sqrt(np.maximum(spread, 0) / passes * (1 + SMALL_SAMPLE / passes)))


def variation_ratio(counts: np.ndarray) -> np.ndarray:
    """The share of passes [B] not in favour of the most frequent class (Freeman 1965).

    `counts` [B, K]: how many passes put each class first.
    """
    return np.asarray(1 - counts.max(-1) / counts.sum(-1))


def _log(p: np.ndarray) -> np.ndarray:
    """log p, and 0 where p is 0: a class that no pass gives any probability adds nothing."""
    return np.asarray(np.log(p, out=np.zeros_like(p), where=p > 0))

"""Targets that are learned by their logarithms, and what that makes of every stated number.

The network learns z = (log y - mu) / sigma, with mu and sigma of the training rows. Given a pass k,
with its output f_k and its noise variance s_k^2 of z (the scale b is in it), y is log-normal. Its
mean and its variance are

    m_k = exp(mu + sigma f_k + sigma^2 s_k^2 / 2)
    w_k = (exp(sigma^2 s_k^2) - 1) m_k^2

*Where.* The card's target names them (`Target.logs`). They are no task of their own: clients see a
regression, one of several targets may be such, and only the values of a pass, the ends of an
interval and the density differ.

*Moments.* m_k and w_k are values of a pass, as the probabilities of a classifier are. So `mean` and
`variance` are the mean and the variance of m_k over the passes, with the errors of the `plain`
estimator and with allowances learned for them, and `noise_variance` is the mean of w_k. By the law
of total variance, `variance` + `noise_variance` is the variance of the mixture of the passes'
log-normals. `deterministic` is m of the pass with dropout off.

*The `reduced` estimator* does not apply. It integrates out the last site, whose effect on a linear
output is known by its first two moments; those of exp need all of them, and heteroscedastic noise
is the exponential of an exponential. Moments of the Gaussian propagation would be biased. The
controls l and q have mean 0 for any output, so they could serve m_k too; then the variance that the
last site adds must come from the passes. That is not built: such models use `plain`.

*Size of the errors.* The factor a, the scale b and the power are fitted to the errors of z, whose
law is near the normal one; squared errors of y would be those of the few largest rows. They carry
over: to first order in sigma^2 var(f), variance = m^2 sigma^2 var(f), so a x `variance` is the
variance of y that a x var(f) stands for. And b is in w_k exactly. So `total_variance` =
a x `variance` + `noise_variance`, as elsewhere.

*Intervals.* Conformal scores are those of z, and exp maps the ends. It is monotone, so the interval
holds y exactly when it holds z: the promise of coverage is unchanged, and no interval begins
below 0. The middle sqrt(lower x upper) is exp of the mean logarithm over the passes, a median. The
spread of a row is the total std of z, since large values would have large stds by nature.

*Density.* That of the mixture of the passes' log-normals: the density of z, divided by sigma y.

*Units.* m_k is in units of exp(mu) sigma, `Target.stds`. Then it is exp(sigma f_k + ...) / sigma,
and neither overflows nor loses digits for small or large units. Far from the data a network may
claim any noise; the exponential of it would be the answer. So the s_k^2 in m_k and w_k is at most
MOST_NOISE. A row whose numbers still overflow is refused, as elsewhere.

Shapes: T targets, L of them learned by their logarithms.
"""

import torch
from torch import Tensor

MOST_NOISE = 16.0
"""The most noise variance of a pass, in units of the target's variance (of the logarithm). At most
one row in 16 can have so much noise."""


def moments(mean: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """The mean and the variance of y given each pass, [..., 2 L], in units of `Target.stds`.

    `mean` and `noise` [..., L] are the mean and the noise variance of z given the pass, and `sigma`
    [L] the stds of the logarithms.
    """
    square = sigma.square() * noise.clamp(max=MOST_NOISE)
    first = (sigma * mean + square / 2).exp() / sigma
    return torch.cat([first, square.expm1() * first.square()], dim=-1)

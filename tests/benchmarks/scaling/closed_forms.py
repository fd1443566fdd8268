"""Queues with known answers, which check the simulation. Seconds, and requests per second."""

import math

import numpy as np

NEGLIGIBLE = 1e-12  # the probability that is left out at the end of a distribution


def waiting_mg1(rate: float, service: float, second_moment: float) -> float:
    """The mean wait at one server: `rate * E[S^2] / (2 (1 - rho))`.

    Pollaczek (1930) and Khinchine (1932); Poisson arrivals, any service time.
    """
    return rate * second_moment / (2 * (1 - rate * service))


def waiting_mm1(rate: float, service: float) -> float:
    """The mean wait at one server with exponential service times: `rho E[S] / (1 - rho)`."""
    return waiting_mg1(rate, service, 2 * service**2)


def waiting_mmc(rate: float, service: float, servers: int) -> float:
    """The mean wait for one of several servers, exponential service times: Erlang's C (1917)."""
    load = rate * service
    terms = [load**n / math.factorial(n) for n in range(servers)]
    last = load**servers / math.factorial(servers) / (1 - load / servers)
    return last / (sum(terms) + last) * service / (servers - load)


def waiting_mdc(rate: float, service: float, servers: int) -> float:
    """The mean wait for one of several servers with one constant service time.

    Crommelin (1932): whoever is served now has left one service time later, so the number in the
    system goes from n to `max(n - servers, 0)` + a Poisson number. Little's law gives the wait.
    """
    arrivals = _poisson(rate * service, NEGLIGIBLE)
    most = 400 * servers
    steps = np.zeros((most, most))
    for n in range(most):
        left = max(n - servers, 0)
        fits = arrivals[: most - left]
        steps[n, left : left + len(fits)] = fits
    in_system = _stationary(steps) @ np.arange(most)
    return float(in_system / rate - service)


def sharing(rate: float, service: float) -> float:
    """The mean time in a processor that all requests share: `E[S] / (1 - rho)`, for any S.

    Kleinrock, Queueing Systems II (1976), section 4.4.
    """
    return service / (1 - rate * service)


def batching(rate: float, overhead: float, each: float) -> tuple[float, float]:
    """The mean time in a server of batches, and the mean size of a batch that a request is in.

    A batch of n takes `overhead + n * each`, and takes all that wait (Bailey 1954, without a
    limit). The sizes of batches are a Markov chain: the next has the Poisson number of arrivals of
    this batch's time, or is of 1, at once, where none arrived. Arrivals are uniform over that time,
    so they wait half of it on average.
    """
    most = 400
    seconds = overhead + each * np.arange(most + 1)
    steps, spent, size, asked = np.zeros((most, most)), *np.zeros((3, most))
    for n in range(1, most + 1):
        arrivals = np.zeros(most + 1)
        arrivals[: most + 1] = _poisson(rate * seconds[n], 0.0, most + 1)
        numbers = np.arange(most + 1)
        steps[n - 1] = arrivals[1:]
        steps[n - 1, 0] += arrivals[0]
        spent[n - 1] = (arrivals * numbers * (seconds[n] / 2 + seconds)).sum()
        spent[n - 1] += arrivals[0] * seconds[1]
        size[n - 1] = (arrivals * numbers**2).sum() + arrivals[0]
        asked[n - 1] = (arrivals * numbers).sum() + arrivals[0]
    share = _stationary(steps)
    return float(share @ spent / (share @ asked)), float(share @ size / (share @ asked))


def _poisson(mean: float, negligible: float, most: int | None = None) -> np.ndarray:
    """Probabilities of 0, 1, 2, ... until they are negligible, or of so many numbers."""
    if most is None:
        most = int(mean + 12 * math.sqrt(mean) + 30)
    numbers = np.arange(most)
    factorials = np.array([math.lgamma(n + 1) for n in numbers])
    found: np.ndarray = np.exp(numbers * math.log(mean) - mean - factorials)
    return found[: 1 + int(np.flatnonzero(found > negligible)[-1])] if negligible else found


def _stationary(steps: np.ndarray) -> np.ndarray:
    """The distribution that one step of the chain leaves as it is."""
    steps = steps / steps.sum(1, keepdims=True)
    size = len(steps)
    equations = np.vstack([steps.T - np.eye(size), np.ones(size)])
    found: np.ndarray = np.linalg.lstsq(equations, np.append(np.zeros(size), 1.0), rcond=None)[0]
    return found

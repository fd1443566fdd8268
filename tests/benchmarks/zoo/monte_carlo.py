"""The promises about the passes: the estimates of one request against those of very many passes.

Shapes: R requests, B rows.
"""

from collections.abc import Iterator
from time import process_time

import numpy as np
from scipy.stats import binom, chi2

from model import Estimator, PredictOptions
from tests.benchmarks.zoo.answers import Answers, Truth, predictions, requests
from tests.benchmarks.zoo.findings import Effort, Figures, Finding
from tests.benchmarks.zoo.networks import Case

PASSES, MANY = (32, 64, 100), 1_000
COMPARED = (32, 100)  # passes at which the estimators are compared
EQUAL_PASSES, EQUAL_TIME = 1.05, 1.0  # squared error over plain's, at most
LEAST_HELD, CHANCE = 0.85, 0.01  # share of two errors; chance that a sound network is blamed
MOST_WARNED = 0.02  # of the rows
CEILING, KEPT, MOST_BIAS = 10_000, 0.95, 0.01  # of a tolerance
MOST_Z = 2.0  # rows that share masks err together
TIMED_ROWS = (1, 64, 256)
PARTS = ("mean", "variance")
ROUNDING = 1e-12  # relative, of what is exact

Runs = dict[tuple[str, int], Answers]


def sampled(case: Case, known: Truth, effort: Effort) -> Runs:
    """The answers by estimator and number of passes."""
    ways = ("plain", "reduced") if case.regression else ("plain",)
    counts = {**dict.fromkeys(PASSES, effort.runs), MANY: effort.long_runs}
    return {
        (way, passes): requests(case, known, count, passes=passes, estimator=way)
        for way in ways
        for passes, count in counts.items()
        if count
    }


def never_zero(case: Case, runs: Runs) -> Finding:
    """No variance is 0 or not finite though dropout is on.

    That of few `plain` passes is 0 where no mask hits a unit that matters: a rate of .005 shows it.
    """
    if not any(case.predictor.card.architecture.dropout):
        return Finding(True, "no dropout")
    shares = {way: 0.0 for way, _ in runs}
    for (way, _), found in runs.items():
        variance = found.values["variance"]
        share = float(np.mean((variance == 0) | ~np.isfinite(variance)))
        shares[way] = max(shares[way], share)
    said = [f"{way} {share:.2g}" for way, share in shares.items() if share]
    return Finding(not said, ", ".join(said) or "0", {"share": shares})


def equal_passes(runs: Runs, known: Truth) -> Finding:
    """The squared error of `reduced` over that of `plain`, of as many passes."""
    found: Figures = {}
    for passes in COMPARED:
        for part in PARTS:
            pair = [_squares(runs[way, passes], known, part) for way in ("reduced", "plain")]
            found[f"{part} {passes}"] = _ratios(*pair)
    met = all(
        f["median"] <= EQUAL_PASSES and f["sums"] - 2 * f["sums_error"] <= EQUAL_PASSES
        for f in found.values()
    )
    cells = (f"{max(f['median'], f['sums']):.2g}" for f in found.values())
    return Finding(met, " ".join(cells), found)


def _squares(found: Answers, known: Truth, part: str) -> np.ndarray:
    """Squared errors [R, B], without what the truth's own error adds on average."""
    squares = np.square(found.values[part] - known.values[part])
    return np.asarray(squares - known.errors[part] ** 2)


def _ratios(ours: np.ndarray, plain: np.ndarray) -> dict[str, float]:
    """Ours over plain's: the median row and the worst tenth; the sums, with their error."""
    few, many = np.maximum(ours.mean(0), 0), plain.mean(0)
    rows = few[many > 0] / many[many > 0]
    a, b = ours.sum(1), plain.sum(1)
    ratio = max(float(a.mean() / b.mean()), 0.0)
    error = float(np.std(a - ratio * b) / np.sqrt(len(a)) / b.mean())
    median, tenth = np.quantile(rows, [0.5, 0.9]).tolist()
    return {"median": median, "worst tenth": tenth, "sums": ratio, "sums_error": error}


def equal_time(case: Case, runs: Runs, known: Truth, effort: Effort) -> Finding:
    """Squared error times CPU time, the default estimator's over plain's, N = 100."""
    default = predictions(case, seed=1).estimator
    pair = [runs[way, 100] for way in (default, "plain")]
    errors = [_ratios(*(_squares(one, known, part) for one in pair)) for part in PARTS]
    worst = max(max(error["median"], error["sums"]) for error in errors)
    times = {rows: _time_ratio(case, default, rows, effort.rounds) for rows in TIMED_ROWS}
    products = {rows: worst * ratio for rows, ratio in times.items()}
    figures = {"estimator": default, "error": worst, "time": times, "product": products}
    most = max(products.values())
    return Finding(bool(most <= EQUAL_TIME), f"{most:.2g}", figures)


def _time_ratio(case: Case, estimator: Estimator, count: int, rounds: int) -> float:
    """CPU time over plain's of `Predictor.predict`, the median of interleaved rounds."""
    assert case.raw is not None
    rows, ratios = case.raw[np.arange(count) % len(case.raw)], list[float]()
    if estimator == "plain":
        return 1.0
    for turn in range(rounds + 1):  # the first one warms up
        took = dict[str, float]()
        ways: tuple[Estimator, ...] = estimator, "plain"
        for way in ways:
            options = PredictOptions(passes=100, seed=turn, estimator=way)
            repeats, start = max(1, 32 // count), process_time()
            for _ in range(repeats):
                case.predictor.predict(rows, options)
            took[way] = process_time() - start
        ratios.append(took[estimator] / took["plain"])
    return float(np.median(ratios[1:]))


def error_bars(runs: Runs, known: Truth) -> Finding:
    """How often one and two reported errors hold the truth, row by row."""
    found = {
        f"{part} {way} {passes}": _held(answers, known, part)
        for (way, passes), answers in runs.items()
        for part in answers.errors
    }
    rows = max(f["failing"] for f in found.values())
    warned = max(f["warned"] for f in found.values())
    worst = min(f["worst"] for f in found.values())
    median = min(f["two"] for f in found.values())
    cell = f"{rows}; {worst:.0%}, {median:.0%}" + (f"; warned {warned:.1%}" if warned else "")
    return Finding(rows == 0 and warned <= MOST_WARNED, cell, found)


def _held(found: Answers, known: Truth, part: str) -> Figures:
    """Shares of the requests, of rows that mostly come without a warning."""
    value = known.values[part]
    off = np.abs(found.values[part] - value) - ROUNDING * np.abs(value)
    error, own = found.errors[part], known.errors[part]  # the truth is uncertain, too
    counted = ~found.warned
    total = counted.sum(0)
    judged = total >= len(off) / 2
    holds = [(off <= width * np.hypot(error, own)) & counted for width in (1, 2)]
    shares = [held.sum(0)[judged] / total[judged] for held in holds]
    least = binom.ppf(CHANCE / len(judged), total[judged], LEAST_HELD) / total[judged]
    return {
        "one": float(np.median(shares[0])),
        "two": float(np.median(shares[1])),
        "worst": float(shares[1].min()),
        "below": int((shares[1] < LEAST_HELD).sum()),
        "failing": int((shares[1] < least).sum()),
        "warned": float(found.warned.mean()),
    }


def tolerances(case: Case, known: Truth, effort: Effort) -> Finding:
    """The root mean square over requests of the std's relative error, row by row."""
    found = dict(_tolerances(case, known, effort))
    met = all(f["kept"] >= KEPT and abs(f["bias"]) <= MOST_BIAS for f in found.values() if f)
    cells = (
        f"{f['kept']:.0%} {f['worst']:.1%} {f['bias']:+.1%}" if f else "-" for f in found.values()
    )
    return Finding(met, "; ".join(cells), found)


def _tolerances(case: Case, known: Truth, effort: Effort) -> Iterator[tuple[str, Figures]]:
    """By tolerance; nothing where no row meets it below CEILING.

    `kept` allows every row the chance of its few requests, `kept_raw` does not.
    """
    for tolerance, count in effort.tolerance_runs:
        answers = requests(case, known, count, passes=CEILING, tolerance=tolerance)
        std, true = np.sqrt(answers.values["variance"]), np.sqrt(known.values["variance"])
        rows = (answers.passes < CEILING).all(0) & (true > 0)
        if not rows.any():
            yield f"{tolerance:g}", {}
            continue
        off = std[:, rows] / true[rows] - 1
        own = known.errors["variance"][rows] / (2 * true[rows] ** 2)
        rms = np.sqrt(np.maximum(np.square(off).mean(0) - own**2, 0))
        chance = np.sqrt(chi2.ppf(0.975, count) / count)
        yield (
            f"{tolerance:g}",
            {
                "rows": int(rows.sum()),
                "kept": float(np.mean(rms <= tolerance * chance)),
                "kept_raw": float(np.mean(rms <= tolerance)),
                "worst": float(rms.max()),
                "bias": float(off.mean()),
                "passes": float(np.median(answers.passes[:, rows])),
            },
        )


def agreement(known: Truth) -> Finding:
    """Both ways to the truth agree; else one of them is biased, or its error is too small."""
    worst = max(known.z.values())
    return Finding(worst <= MOST_Z, f"{worst:.2f}", dict(known.z))

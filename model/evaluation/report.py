"""An evaluation for people: a table for the terminal, and a page with pictures."""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from model.evaluation.evaluate import Evaluation
from model.evaluation.figures import Figure, figures
from model.evaluation.outcomes import Metrics, Outcome
from model.evaluation.stylesheet import STYLE


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric in words: its title, which way is better, and what it says."""

    title: str
    better: str
    meaning: str


LOW, HIGH, CLAIMED, BOUNDED = "lower", "higher", "as claimed", "as bounded"
MEASURES = {
    "rmse": Measure("RMSE", LOW, "root of the mean squared error, in the target's unit"),
    "mae": Measure("MAE", LOW, "mean absolute error, in the target's unit"),
    "log_likelihood": Measure(
        "log-likelihood",
        HIGH,
        "mean log density at the target, of the mixture that the passes are with the noise; nats",
    ),
    "crps": Measure(
        "CRPS", LOW, "of a Gaussian of mean and std, in the target's unit; the MAE where std is 0"
    ),
    "interval_coverage": Measure(
        "interval coverage", CLAIMED, "share of the targets inside their intervals"
    ),
    "interval_coverage_over_seeds": Measure(
        "mean over seeds", CLAIMED, "the same, averaged over several seeds"
    ),
    "interval_coverage_worst_seed": Measure(
        "worst seed", CLAIMED, "the same under that of those seeds where it is farthest off"
    ),
    "interval_width": Measure(
        "interval width",
        LOW,
        "mean width of those intervals; with dropout off of one width for all, conformal by the "
        "absolute error",
    ),
    "interval_score": Measure(
        "interval score", LOW, "their width, and a penalty for every target outside"
    ),
    "epistemic_interval_coverage": Measure(
        "coverage, passes", CLAIMED, "of conformal intervals by the std across the passes alone"
    ),
    "epistemic_interval_width": Measure("width, passes", LOW, "mean width of those"),
    "epistemic_interval_score": Measure("score, passes", LOW, "the same of those"),
    "mean_std": Measure("mean std", "", "mean standard deviation, the noise in it if known"),
    "mean_epistemic_std": Measure("mean epistemic std", "", "that across the passes alone"),
    "std_error_correlation": Measure(
        "rank correlation", HIGH, "of std and absolute error, -1 to 1; at 0 it is no use as a score"
    ),
    "epistemic_error_correlation": Measure(
        "rank correlation, passes", HIGH, "the same of the std across the passes alone"
    ),
    "aurc": Measure(
        "AURC", LOW, "mean risk over all shares of least uncertain rows that may be answered"
    ),
    "accuracy": Measure(
        "accuracy", HIGH, "share of the rows whose likeliest class is the right one"
    ),
    "log_loss": Measure("log loss", LOW, "negative log-likelihood of the right class, nats"),
    "brier": Measure("Brier score", LOW, "squared error of the probabilities, 0 to 2"),
    "ece": Measure("ECE", LOW, "mean gap between confidence and accuracy, 15 bins of equal width"),
    "ece_equal_mass": Measure("ECE, equal mass", LOW, "the same, bins of equally many rows"),
    "auroc": Measure("AUROC", HIGH, "how well probabilities tell the classes apart, .5 to 1"),
    "error_auroc": Measure(
        "AUROC of errors", HIGH, "chance that a wrong row has more entropy than a right one"
    ),
    "error_auroc_mutual_information": Measure(
        "AUROC of errors, MI", HIGH, "the same of the mutual information"
    ),
    "aurc_mutual_information": Measure("AURC, MI", LOW, "AURC by mutual information"),
    "mean_entropy": Measure("mean entropy", "", "of the mean probabilities, nats"),
    "mean_mutual_information": Measure("mean MI", "", "mean mutual information, nats"),
    "set_coverage": Measure(
        "label set coverage", CLAIMED, "share of the rows whose label set holds the right class"
    ),
    "set_coverage_over_seeds": Measure(
        "mean over seeds", CLAIMED, "the same, averaged over several seeds"
    ),
    "set_coverage_worst_seed": Measure(
        "worst seed", CLAIMED, "the same under that of those seeds where it is least"
    ),
    "set_size": Measure("label set size", LOW, "mean number of labels in a set"),
    "accepted": Measure("accepted", HIGH, "share of the rows accepted for the error named"),
    "accepted_rmse": Measure("RMSE of accepted", BOUNDED, "root mean squared error of those"),
    "accepted_error_rate": Measure(
        "errors of accepted", BOUNDED, "share of wrong classes of those"
    ),
}
TILES = (
    *("rmse", "interval_coverage", "std_error_correlation", "crps"),
    *("accuracy", "log_loss", "ece", "error_auroc"),
)
LONG, WIDE = ("features", "classes"), ' class="long"'  # entries as wide as the page


def report_text(evaluation: Evaluation) -> str:
    """The metrics as a table for a terminal, one per target."""
    card = evaluation.card
    lines = [f"{card.name} (version {card.version}) on {_rows(evaluation)}"]
    lines += [f"  {_asked(evaluation)}"]
    for outcome in evaluation.outcomes:
        off = outcome.deterministic_metrics()
        lines += ["", f"  {_named(outcome):24} {'MC mean':>11} {'dropout off':>12}   better"]
        for name, value in outcome.metrics().items():
            measure = MEASURES[name]
            row = f"  {measure.title:24} {_number(value):>11} {_beside(off, name):>12}"
            lines.append(f"{row}   {measure.better}".rstrip())
    lines += ["", *(f"  note: {note}" for note in evaluation.notes)] if evaluation.notes else []
    return "\n".join(lines)


def report_page(evaluation: Evaluation) -> str:
    """One HTML page with tables and pictures that needs no other file and no network."""
    name = escape(evaluation.card.name)
    sections = (
        _section(outcome, f"target-{number}", evaluation.options.coverage)
        for number, outcome in enumerate(evaluation.outcomes)
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{name}: evaluation</title>
<style>{STYLE}</style>
</head>
<body>
<main>
{_header(evaluation)}
{"".join(sections)}
<footer>Made by <code>python -m model evaluate</code>. The same model, rows, passes and seed give
the same numbers; the SHA-256 of the data is <code>{escape(evaluation.data_sha256)}</code>.</footer>
</main>
</body>
</html>
"""


def _asked(evaluation: Evaluation) -> str:
    options, seeds = evaluation.options, evaluation.seeds
    more = f" (regions: {seeds[0]} to {seeds[-1]})" if len(seeds) > 1 else ""
    return f"passes {options.passes}, seed {options.seed}{more}, coverage {options.coverage:g}"


def _header(evaluation: Evaluation) -> str:
    card = evaluation.card
    shape, record = card.architecture, card.training
    rates = ", ".join(f"{rate:g}" for rate in shape.dropout)
    facts = {
        "judged on": _rows(evaluation),
        "asked for": _asked(evaluation),
        "network": f"{'-'.join(map(str, shape.hidden))} {shape.activation}, dropout {rates}",
        "trained on": f"{record.rows['train']} rows of {record.data}"
        if "train" in record.rows
        else "data that is not known here",
        "version": card.version,
        "features": f"{len(card.features)}: {', '.join(f.name for f in card.features)}",
    }
    if card.target.classes:
        facts["classes"] = f"{len(card.target.classes)}: {', '.join(card.target.classes)}"
    entries = "".join(
        f"<div{WIDE if title in LONG else ''}><dt>{title}</dt><dd>{escape(_short(text))}</dd></div>"
        for title, text in facts.items()
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in evaluation.notes)
    return f"""<header>
<p class="kind">{card.task}: how good, and how sure?</p>
<h1>{escape(card.name)}</h1>
<dl>{entries}</dl>
{f'<ul class="notes" role="note">{notes}</ul>' if notes else ""}
</header>"""


def _section(outcome: Outcome, key: str, coverage: float) -> str:
    metrics, off = outcome.metrics(), outcome.deterministic_metrics()
    pictures = "".join(map(_figure, figures(outcome, key)))
    tiles = "".join(_tiles(metrics, off, coverage))
    return f"""
<section aria-labelledby="{key}">
<h2 id="{key}">{escape(_named(outcome))}</h2>
<div class="tiles">{tiles}</div>
<div class="figures">{pictures}</div>
<h3>All metrics</h3>
<div class="wide"><table>
<thead><tr><th scope="col">metric</th><th scope="col" class="number">MC mean</th>
<th scope="col" class="number">dropout off</th><th scope="col">better</th>
<th scope="col">what it says</th></tr></thead>
<tbody>{"".join(_metric_rows(metrics, off))}</tbody>
</table></div>
</section>
"""


def _tiles(metrics: Metrics, off: Metrics, coverage: float) -> Iterator[str]:
    goals = {LOW: "lower is better", HIGH: "higher is better", CLAIMED: f"claimed: {coverage:g}"}
    for name in TILES:
        if name in metrics:
            measure = MEASURES[name]
            beside = f"dropout off: {_beside(off, name)}" if name in off else goals[measure.better]
            yield (
                f'<div class="tile"><span>{measure.title}</span>'
                f"<strong>{_number(metrics[name])}</strong><small>{beside}</small></div>"
            )


def _metric_rows(metrics: Metrics, off: Metrics) -> Iterator[str]:
    for name, value in metrics.items():
        measure = MEASURES[name]
        yield (
            f'<tr><th scope="row">{measure.title}</th><td class="number">{_number(value)}</td>'
            f'<td class="number">{_beside(off, name)}</td><td class="goal">{measure.better}</td>'
            f"<td>{measure.meaning}</td></tr>"
        )


def _figure(figure: Figure) -> str:
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in figure.header)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
        for row in figure.rows
    )
    return f"""<figure>
<h3>{escape(figure.title)}</h3>
{figure.svg}
<figcaption>{escape(figure.reading)}</figcaption>
<details><summary>The numbers</summary><div class="wide"><table class="numbers">
<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></details>
</figure>
"""


def _rows(evaluation: Evaluation) -> str:
    """Which rows the figures are of."""
    kept = ", which training set apart" if evaluation.part == "test" else ""
    which = "test rows" if evaluation.part == "test" else "rows"
    return f"{evaluation.rows} {which} of {evaluation.data}{kept}"


def _named(outcome: Outcome) -> str:
    return f"{outcome.target} ({outcome.unit})" if outcome.unit else outcome.target


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _beside(metrics: Metrics, name: str) -> str:
    """The deterministic pass's figure, where it has one."""
    return _number(metrics[name]) if name in metrics else ""


def _short(text: str) -> str:
    """A list of hundreds of names, cut."""
    return text if len(text) <= 200 else text[:200].rpartition(", ")[0] + ", ..."

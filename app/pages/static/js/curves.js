/** An answer of /sweep as curves to draw: one target, or the probability of one class. */

/** The targets or classes of an answer that a sweep can show; empty where there is only one. */
export function choices(answer) {
  const mean = answer.predictions[0].mean;
  return typeof mean === "object" ? Object.keys(mean) : [];
}

/** The part of a value that belongs to a target or class; a value of a single target is a number. */
export function part(value, of) {
  return value !== null && typeof value === "object" ? value[of] : value;
}

/** The curves of a target or class `of`. A probability has no interval, and its std ends at 0 and 1. */
export function curvesOf(answer, of) {
  const classes = answer.task !== "regression";
  const inside = classes ? (value) => Math.min(Math.max(value, 0), 1) : (value) => value;
  const each = (read) => answer.predictions.map(read);
  const mean = each((row) => part(row.mean, of));
  const std = each((row) => part(row.std, of));
  const categorical = answer.kind === "categorical";
  return {
    x: categorical ? answer.values.map((_, index) => index) : answer.values,
    ticks: categorical ? answer.values.map((value) => (value === null ? "missing" : String(value))) : null,
    range: answer.training_range,
    mean,
    std: [mean.map((value, at) => inside(value - std[at])), mean.map((value, at) => inside(value + std[at]))],
    deterministic: each((row) => part(row.deterministic, of)),
    interval: classes || !answer.predictions[0].interval ? null : [
      each((row) => part(row.interval.lower, of)),
      each((row) => part(row.interval.upper, of)),
    ],
    lines: Array.isArray(answer.lines) ? answer.lines : answer.lines[of] ?? [],
    warned: each((row) => row.warnings.length > 0),
  };
}

/** The index of the point that is nearest to a value; the middle one where the value is no number. */
export function nearest(answer, value) {
  const at = answer.values.indexOf(value);
  if (at >= 0) return at;
  if (answer.kind === "categorical") return 0;
  if (typeof value !== "number") return Math.floor(answer.values.length / 2);
  const gaps = answer.values.map((point) => Math.abs(point - value));
  return gaps.indexOf(Math.min(...gaps));
}

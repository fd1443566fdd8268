/** What is known at the query point of a sweep, in words. */

import { part } from "./curves.js";
import { h } from "./dom.js";
import { number, percent, warning, withError } from "./words.js";

const SHOWN = 3; // labels of a set that are named one by one

/** The facts at the point of a query `{answer, index, feature, target, of}`, as an element. */
export function facts(query) {
  const { answer, index, feature, of } = query;
  const row = answer.predictions[index];
  return h("dl", { class: "tiles" },
    fact(feature.name, value(query), where(query)),
    fact(query.target, withError(part(row.mean, of), part(row.mean_error, of)),
      `dropout off: ${number(part(row.deterministic, of))}`),
    fact("std over the passes", number(part(row.std, of)), "more training rows there reduce it"),
    region(query));
}

/** The same as a short sentence, for a screen reader. */
export function spoken(query) {
  const row = query.answer.predictions[query.index];
  const interval = row.interval
    ? `, ${percent(row.interval.coverage)} interval ${ends(query).join(" to ")}` : "";
  const warned = row.warnings.map(warning).join(" ") || "No warning.";
  return `${value(query)}: ${query.target} ${number(part(row.mean, query.of))}${interval}. ${warned}`;
}

const fact = (name, text, note) =>
  h("div", {}, h("dt", {}, name), h("dd", {}, text, h("small", {}, note)));

function value({ answer, index }) {
  const own = answer.values[index];
  return typeof own === "number" ? number(own, 5) : own ?? "missing";
}

function where({ answer: { training_range: range, values }, index }) {
  if (!range) return "";
  const inside = values[index] >= range[0] && values[index] <= range[1];
  return `${inside ? "inside" : "outside"} the training range, ${number(range[0])} to ${number(range[1])}`;
}

function ends({ answer, index, of }) {
  const { lower, upper } = answer.predictions[index].interval;
  return [number(part(lower, of)), number(part(upper, of))];
}

function region(query) {
  const { label, label_set: set, interval } = query.answer.predictions[query.index];
  if (set) {
    const named = set.labels.length > SHOWN ? `${set.labels.length} labels` : set.labels.join(", ");
    return fact(`${percent(set.coverage)} label set`, named || "no label", `most likely: ${label}`);
  }
  if (!interval) return null;
  return fact(`${percent(interval.coverage)} interval`, ends(query).join(" to "),
    "holds the true value with this probability");
}

/** An answer of /explain in pictures and words: shares of the layers, contributions of the features. */

import { bars } from "./bars.js";
import { h, table } from "./dom.js";
import { number, percent, withError } from "./words.js";

const MOST = 12; // features with a bar of their own
const SURE = 2; // standard errors from zero, at least, to call a contribution one

/** What makes a pass differ there, in words. */
function source(layer) {
  if (layer.layer === "member") return "which network is asked";
  return layer.rate === null ? "Gaussian noise" : `dropout rate ${number(layer.rate)}`;
}

/** The variance by dropout layer. */
export function layers(answer) {
  const { layers: list, variance, variance_error: error, interactions } = answer;
  const share = (value) => (variance > 0 ? value / variance : 0);
  const items = list.map((layer) => ({
    name: layer.layer,
    detail: source(layer),
    value: layer.variance,
    error: layer.error,
    kind: "length-more",
    inner: Math.max(Math.min(layer.alone, layer.variance), 0),
    text: percent(share(layer.variance)),
  }));
  const spoken = items.map((item) => `${item.name} ${item.text}`).join(", ");
  return h("section", { class: "card" },
    h("h2", {}, "By dropout layer"),
    h("p", { class: "conclusion" }, aboutLayers(answer, share)),
    bars(items, `Shares of the variance by layer: ${spoken}`),
    key(["length-inner", "the layer's masks alone"], ["length-more", "its part of what layers do together"]),
    table("variance by dropout layer",
      ["layer", "rate", "share of the variance", "variance", "alone", "with all it takes part in"],
      [...list.map((layer) => [layer.layer, layer.rate === null ? "noise" : number(layer.rate), percent(share(layer.variance)),
        withError(layer.variance, layer.error), withError(layer.alone, layer.alone_error),
        withError(layer.total, layer.total_error)]),
      ["all layers", "", percent(1), withError(variance, error), "", ""],
      ["interactions, part of the shares", "", percent(share(interactions.variance)),
        withError(interactions.variance, interactions.error), "", ""]]));
}

function aboutLayers({ layers: list, variance, interactions }, share) {
  if (!(variance > 0)) return "The passes agree exactly: there is no variance to explain.";
  if (list.length === 1) {
    return `The model has one dropout layer, ${list[0].layer}: all of the variance is from its masks.`;
  }
  const [first, second] = [...list].sort((a, b) => b.variance - a.variance);
  const close = first.variance - second.variance < SURE * Math.hypot(first.error, second.error);
  const most = close
    ? `The parts of ${first.layer} and ${second.layer} differ by no more than their errors`
    : `Most of the variance, ${percent(share(first.variance))}, is from the masks of ${first.layer}: its rate decides most about the variance`;
  const mixed = interactions.variance < SURE * interactions.error
    ? "Each layer acts by itself: no interaction can be told from zero."
    : `${percent(share(interactions.variance))} arises only where masks of several layers meet.`;
  return `${most}. ${mixed}`;
}

/** What the features add to the std, beside the std of the background rows. */
export function features(answer) {
  const heading = h("h2", {}, "By feature");
  if (!answer.features?.length || !answer.background) {
    return h("section", { class: "card" }, heading,
      h("p", {}, "This model keeps no training rows to compare the row with, so nothing is known of the " +
        "features' contributions. A model that `python -m model train` makes keeps some."));
  }
  const list = [...answer.features].sort((a, b) => Math.abs(b.std) - Math.abs(a.std));
  const { background, std, std_error: error } = answer;
  const items = [...list.slice(0, MOST).map(contribution), ...others(list.slice(MOST))];
  const spoken = items.map((item) => `${item.name} ${item.text}`).join(", ");
  return h("section", { class: "card" },
    heading,
    h("p", { class: "conclusion" }, aboutFeatures(answer, list)),
    bars(items, `Contributions to the std by feature: ${spoken}`),
    key(["length-plus", "raises the std"], ["length-less", "lowers it"]),
    h("p", { class: "note" }, `From the std of ${background.rows} training rows, ` +
      `${withError(background.std, background.error)} on average, the contributions lead to the ` +
      `row's own, ${withError(std, error)}.`),
    table("contributions to the std by feature", ["feature", "value", "contribution to the std"],
      [["training rows, on average", "", withError(background.std, background.error)],
        ...list.map((item) => [item.feature, cell(item.value), signed(item.std, item.error)]),
        ["this row", "", withError(std, error)]]));
}

const contribution = (item) => ({
  name: item.feature,
  detail: cell(item.value),
  value: item.std,
  error: item.error,
  kind: item.std < 0 ? "length-less" : "length-plus",
  text: signed(item.std, item.error),
});

/** The features that have no bar of their own, as one bar; the error of their sum is not known. */
function others(list) {
  if (!list.length) return [];
  const sum = list.reduce((total, item) => total + item.std, 0);
  const name = list.length === 1 ? "one other feature" : `${list.length} other features`;
  return [contribution({ feature: name, value: "together", std: sum, error: 0 })];
}

function aboutFeatures({ std, std_error: error, background }, list) {
  const gap = std - background.std;
  const sure = list.filter((item) => Math.abs(item.std) >= SURE * item.error);
  const more = percent(Math.abs(gap) / background.std);
  const place = Math.abs(gap) < SURE * Math.hypot(background.error, error)
    ? "The passes disagree about this row as much as about a training row"
    : `The passes disagree ${gap > 0 ? "more" : "less"} about this row than about a training row, by ${more}`;
  const raising = sure.filter((item) => item.std > 0).slice(0, 2).map(named);
  const lowering = sure.filter((item) => item.std < 0).slice(0, 1).map(named);
  const parts = [`${place}.`];
  if (raising.length) {
    parts.push(`${raising.join(" and ")} ${raising.length > 1 ? "raise" : "raises"} the std most: ` +
      "more training rows with such values are likely to reduce it.");
  }
  if (lowering.length) parts.push(`${lowering[0]} lowers it most.`);
  if (!sure.length) parts.push("No feature's contribution can be told from zero: its error is as large.");
  return parts.join(" ");
}

const cell = (value) => (typeof value === "number" ? number(value) : value ?? "missing");
const named = (item) => `${item.feature} = ${cell(item.value)}`;
const signed = (value, error) => `${value < 0 ? "−" : "+"}${withError(Math.abs(value), error)}`;

const key = (...colours) => h("ul", { class: "legend" }, colours.map(([kind, text]) =>
  h("li", {}, h("span", { class: `swatch band ${kind}`, "aria-hidden": "true" }), text)),
h("li", {}, h("span", { class: "swatch length-error", "aria-hidden": "true" }), "± one standard error"));

/** Rows of a model: an example, a random one, and how the URL writes one. */

import { examples } from "./examples.js";

/** The digits behind the decimal point that the training range has: 0 for whole numbers. */
export function decimals(feature) {
  const digits = (number) => (String(number).split("e")[0].split(".")[1] ?? "").length;
  return feature.range
    ? Math.min(6, Math.max(...feature.range.map(digits)))
    : Math.max(0, Math.min(6, 2 - Math.floor(Math.log10(feature.scale))));
}

/** A number as precise as the training range is. */
export const rounded = (number, feature) => Number(number.toFixed(decimals(feature)));

/** The slider's ends: the training range, or three scales around the mean where it is unknown. */
export const ends = (feature) =>
  feature.range ?? [feature.mean - 3 * feature.scale, feature.mean + 3 * feature.scale];

/** The row `number` of the examples that are known for the model's data, or a middling row. */
export function exampleRow(card, number = 0) {
  const known = examples[card.training?.data] ?? [];
  const cells = known.length ? known[number % known.length] : [];
  if (cells.length === card.features.length) return named(card, cells);
  return named(card, card.features.map((feature) =>
    feature.kind === "numeric" ? rounded(feature.mean, feature) : feature.categories[0]));
}

/** A row whose values are drawn one by one, like the training rows' but for what ties them. */
export const randomRow = (card) => named(card, card.features.map(randomCell));

function randomCell(feature) {
  if (feature.kind !== "numeric") {
    return feature.categories[Math.floor(Math.random() * feature.categories.length)];
  }
  const normal = Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  const [low, high] = ends(feature);
  return rounded(Math.min(high, Math.max(low, feature.mean + feature.scale * normal)), feature);
}

/** The row's cells as texts for the URL; a missing one is empty. */
export const written = (card, row) => card.features.map(({ name }) => row[name] ?? "");

/** The row that the URL has; null if it has none for this model. */
export function readRow(card, cells) {
  if (cells?.length !== card.features.length) return null;
  return named(card, cells.map((text, at) => cell(text, card.features[at])));
}

/** What a text stands for: a number where the feature has numbers; other texts stay. */
export function cell(text, feature) {
  if (text.trim() === "") return null;
  const number = Number(text);
  return feature.kind === "numeric" && Number.isFinite(number) ? number : text;
}

const named = (card, cells) =>
  Object.fromEntries(card.features.map(({ name }, at) => [name, cells[at]]));

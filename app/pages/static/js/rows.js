/** Rows of a model: an example, a random one, and how the URL writes one. */

import { examples } from "./examples.js";

const STEPS = 500; // of a slider: more of them tire those who press arrow keys

/** The digits behind the decimal point that values get: as in the training range, or fewer. */
export function decimals(feature) {
  const [low, high] = ends(feature);
  const enough = Math.max(0, Math.min(9, -Math.floor(Math.log10((high - low || 1) / (0.4 * STEPS)))));
  if (!feature.range) return enough;
  const digits = (number) => (String(number).split(/e/)[0].split(".")[1] ?? "").length;
  const exact = Math.max(...feature.range.map(digits));
  return (high - low) * 10 ** exact <= STEPS ? exact : Math.min(exact, enough);
}

/** A number with as many digits, within the ends. */
export function rounded(number, feature) {
  const [low, high] = ends(feature);
  return Math.min(high, Math.max(low, Number(number.toFixed(decimals(feature)))));
}

/** The slider's ends: the training range, or three scales around the mean where it is unknown. */
export const ends = (feature) =>
  feature.range ?? [feature.mean - 3 * feature.scale, feature.mean + 3 * feature.scale];

/** The card's example, or the row `number` of those that are known for the model's data. */
export function exampleRow(card, number = 0) {
  const known = (examples[card.training?.data] ?? []).filter((cells) => cells.length === card.features.length);
  const at = number % (known.length + 1);
  return at ? named(card, known[at - 1]) : { ...card.example };
}

/** A row whose values are drawn one by one, like the training rows' but for what ties them. */
export const randomRow = (card) => named(card, card.features.map(randomCell));

function randomCell(feature) {
  if (feature.kind !== "numeric") {
    return feature.categories[Math.floor(Math.random() * feature.categories.length)];
  }
  const normal = Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  return rounded(feature.mean + feature.scale * normal, feature);
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

/** What both tasks show of an answer: parts of a whole, how usual the row is, accept or abstain. */

import { h } from "../dom.js";
import { number, percent, warning } from "../words.js";

/**
 * A bar of parts. `parts` are [{kind, name, share, words}]; the shares are of the whole bar, and
 * what they leave stays empty.
 */
export function parts(title, entries, sum) {
  const bar = h("div", { class: "bar", role: "img",
    "aria-label": entries.map((part) => `${part.name}: ${percent(part.share)}`).join(", ") });
  let left = 1;
  for (const { kind, share } of entries) {
    const piece = h("span", { class: `piece ${kind}` });
    piece.style.flexGrow = String(Math.max(0, share));
    left -= share;
    bar.append(piece);
  }
  const rest = h("span", { class: "rest" });
  rest.style.flexGrow = String(Math.max(0, left));
  bar.append(rest);
  return h("section", { class: "card parts" }, h("h2", {}, title), bar,
    h("dl", {}, entries.map(({ kind, name, value, words }) => [
      h("dt", {}, h("span", { class: `swatch band ${kind}`, "aria-hidden": "true" }), name, " ",
        h("strong", {}, value)),
      h("dd", {}, words),
    ])), h("p", { class: "note" }, sum));
}

/** How like the training rows the row is, and every warning in words. */
export function likeness(prediction, regression) {
  const lines = prediction.warnings.map(warning);
  const good = lines.length === 0;
  return h("section", { class: `card likeness ${good ? "calm" : "warned"}` },
    h("h2", {}, good ? "No warning" : lines.length === 1 ? "A warning" : `${lines.length} warnings`),
    good ? null : h("ul", { class: "warnings" }, lines.map((text, at) =>
      h("li", { "data-code": prediction.warnings[at] }, text))),
    h("p", {}, distance(prediction)), h("p", {}, spread(prediction, regression)));
}

function distance({ distance: far, distance_p_value: share }) {
  if (far === undefined || far === null) return "The model keeps no training rows: no distance is known.";
  if (far < 1e-4) return "Distance 0: this is one of the training rows.";
  const place = share < 0.01 ? "far from the training rows" :
    share < 0.1 ? "at the edge of the training rows" : "among the training rows";
  return `The row is ${place}: ${percent(share)} of the rows like the data are as far away, or farther` +
    ` (distance ${number(far, 3)}).`;
}

function spread({ spread_p_value: share }, regression) {
  if (share === undefined || share === null) return null;
  const what = regression ? "as large a total std" : "passes that disagree as much";
  return `${percent(share)} of the rows like the data have ${what}, or more.`;
}

/** Accept or abstain at an error that the reader names. */
export function verdict(context, unit) {
  const known = context.card.calibration?.abstention;
  const element = h("section", { class: "card verdict" }, h("h2", {}, "Accept or abstain"));
  if (!known) {
    element.append(h("p", { class: "note" }, "The model has no held-out rows that certify an error."));
    return { element, show: () => "" };
  }
  const name = known.risk === "rmse" ? `RMSE${unit ? ` (${unit})` : ""}` : "error rate";
  const bounds = known.levels.map((level) => level.bound);
  const [least, most] = [Math.min(...bounds), Math.max(...bounds)];
  const slider = h("input", { type: "range", id: "largest-error", min: 0, max: 1000, step: 1,
    input: () => context.setOption("largest_error", Number(at(slider.value).toPrecision(3))) });
  const at = (place) => least * 1.001 + (1.15 * most - least) * (place / 1000);
  const words = h("p", { class: "words" });
  element.append(h("label", { for: "largest-error" }, `Largest ${name} that you can tolerate`),
    h("div", { class: "tolerated" }, slider, h("button", { type: "button",
      click: () => context.setOption("largest_error", null) }, "None")), words);

  function show(answer) {
    const promised = answer.acceptance;
    if (promised) slider.value = 1000 * (promised.largest_error - least) / (1.15 * most - least);
    else slider.value = 1000;
    const accept = answer.predictions[0].accept;
    element.classList.toggle("accepted", accept === true);
    element.classList.toggle("refused", accept === false);
    if (!promised) {
      words.textContent = "Name an error with the slider; the answer then says whether to rely on this row.";
      return "";
    }
    const said = accept ? "Accept" : "Abstain: ask a person";
    words.replaceChildren(h("strong", {}, said), `. At a largest ${name} of ` +
      `${number(promised.largest_error)}, ${percent(promised.accepted)} of the held-out rows are ` +
      `accepted, and with ${percent(promised.confidence)} confidence their ${name} is at most ` +
      `${number(promised.bound)}.`, strange(answer.predictions[0])
        ? " That is said of rows like the held-out rows, and this row has a warning." : "");
    return `${said}. `;
  }
  return { element, show };
}

/** Whether a warning is about the row, and not about the model or the options. */
const strange = ({ warnings }) => warnings.some((code) => /^(outside|unseen|unusual)_/.test(code));

/** Bars from a common zero, each with an error bar. */

import { h } from "./dom.js";
import { svg } from "./svg.js";

const HEIGHT = 20;
const MIDDLE = HEIGHT / 2;

/**
 * A line for each bar: its name, the bar with its error bar, its value in words.
 *
 * A bar is `{name, detail, value, error, text, kind}`: `kind` names its colour. `inner`, where it
 * has one, is the part of `value` that is drawn darker. `label` tells a screen reader all of it.
 */
export function bars(list, label) {
  const low = Math.min(0, ...list.map((bar) => bar.value - bar.error));
  const high = Math.max(0, ...list.map((bar) => bar.value + bar.error));
  const place = (value) => 1 + (98 * (value - low)) / (high - low || 1);
  return h("div", { class: "lengths", role: "img", "aria-label": label }, list.map((bar) =>
    h("div", { class: "length" },
      h("span", { class: "length-name" }, bar.name, h("small", {}, bar.detail)),
      drawn(bar, place),
      h("span", { class: "length-value" }, bar.text))));
}

/** The picture of a bar; its lengths are percentages, so that it has any width. */
function drawn({ value, error, kind, inner = 0 }, place) {
  const line = (kind, from, to, y1, y2) =>
    svg("line", { class: kind, x1: `${place(from)}%`, x2: `${place(to)}%`, y1, y2 });
  const [low, high] = [value - error, value + error];
  return svg("svg", { class: "length-track", height: HEIGHT },
    rectangle(kind, place(0), place(value)),
    rectangle("length-inner", place(0), place(inner)),
    line("length-zero", 0, 0, 0, HEIGHT),
    line("length-error", low, high, MIDDLE, MIDDLE),
    line("length-error", low, low, MIDDLE - 4, MIDDLE + 4),
    line("length-error", high, high, MIDDLE - 4, MIDDLE + 4));
}

const rectangle = (kind, from, to) => svg("rect", {
  class: kind, x: `${Math.min(from, to)}%`, width: `${Math.abs(to - from)}%`,
  y: 2, height: HEIGHT - 4, rx: 2,
});

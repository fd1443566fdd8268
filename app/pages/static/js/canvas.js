/** Pictures of our own on a canvas, which follow the page's theme and width. */

import { h } from "./dom.js";
import { onTheme } from "./theme.js";

/**
 * A canvas with the name `label` for screen readers; `draw(ctx, width, height)` draws it, in CSS
 * pixels. Returns {element, draw(), height, end()}; set `height` before `draw()`.
 */
export function surface(label, height, draw) {
  const canvas = h("canvas", { role: "img", "aria-label": label });
  const element = h("div", { class: "plot" }, canvas);
  const made = { element, canvas, height, draw: paint, end };

  function paint() {
    const width = Math.max(220, Math.floor(element.clientWidth));
    const [w, t] = [Math.round(width * devicePixelRatio), Math.round(made.height * devicePixelRatio)];
    if (canvas.width !== w || canvas.height !== t) [canvas.width, canvas.height] = [w, t];
    canvas.style.width = `${width}px`;
    canvas.style.height = `${made.height}px`;
    const ctx = canvas.getContext("2d");
    ctx.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    ctx.clearRect(0, 0, width, made.height);
    ctx.font = `13px ${getComputedStyle(element).fontFamily}`;
    draw(ctx, width, made.height);
  }

  const watch = new ResizeObserver(paint);
  watch.observe(element);
  const still = onTheme(paint);
  function end() {
    watch.disconnect();
    still();
  }
  return made;
}

/** Note when the first new picture since a change was drawn; the benchmark reads it. */
export function drawn() {
  if (!performance.getEntriesByName("mcd-drawn").length) performance.mark("mcd-drawn");
}

/** Note that the reader has changed something. */
export function changed() {
  performance.clearMarks();
  performance.mark("mcd-changed");
}

/** Round numbers between `low` and `high`, about `count` of them. */
export function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough);
  const first = Math.ceil(low / step);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, at) => (first + at) * step);
}

/** The passes of a regression on the target's axis: one at a time, then all as a histogram. */

import { drawn, surface, ticks } from "../canvas.js";
import { h } from "../dom.js";
import { color } from "../theme.js";
import { number } from "../words.js";

const FILM_MS = 1100;
const [TOP, BARS, LOW] = [14, 130, 74]; // pixels: above the bars, the bars, below them

/** The picture; `show(prediction, film)` draws it. */
export class Cloud {
  #found = null;
  #count = 0;
  #frame = 0;

  constructor(label) {
    this.surface = surface(label, TOP + BARS + LOW, (ctx, width) => this.#found && this.#draw(ctx, width));
    const entry = (kind, text) =>
      h("li", {}, h("span", { class: `swatch ${kind}`, "aria-hidden": "true" }), text);
    this.zoom = h("input", { type: "checkbox", change: () => this.surface.draw() });
    this.element = h("div", { class: "figure" }, this.surface.element, h("ul", { class: "legend" },
      entry("band epistemic-soft", "passes"), entry("mean", "mean ± Monte-Carlo error"),
      entry("deterministic dashed", "dropout off"), entry("interval", "interval"),
      h("li", {}, h("label", {}, this.zoom, " zoom to the passes"))));
  }

  /** Draw a prediction; with `film`, its passes come one at a time for a second. */
  show(found, film) {
    cancelAnimationFrame(this.#frame);
    this.#found = found;
    this.#bins = null;
    const all = found.samples.length;
    this.#until(film ? 1 : all);
    drawn();
    if (!film) return;
    let start = null;
    const step = (now) => {
      start ??= now;
      const part = Math.min(1, (now - start) / FILM_MS);
      this.#until(Math.max(1, Math.round(all ** part))); // 1, 2, 3, ... and then faster and faster
      if (part < 1) this.#frame = requestAnimationFrame(step);
    };
    this.#frame = requestAnimationFrame(step);
  }

  end() {
    cancelAnimationFrame(this.#frame);
    this.surface.end();
  }

  #bins = null;

  #until(count) {
    this.#count = count;
    this.element.dataset.passes = count;
    this.surface.draw();
  }

  /** The ends of the axis. */
  #ends() {
    const { samples, interval, mean, deterministic } = this.#found;
    const whole = [mean, deterministic, ...(this.zoom.checked ? [] : [interval.lower, interval.upper])];
    let [low, high] = [Math.min(...whole), Math.max(...whole)];
    for (const value of samples) [low, high] = [Math.min(low, value), Math.max(high, value)];
    const margin = 0.04 * (high - low) || Math.max(1e-9, 0.01 * Math.abs(low));
    return [low - margin, high + margin];
  }

  /** How many of the passes so far are in each bin; the bins are those of all passes. */
  #histogram() {
    const { samples } = this.#found;
    if (!this.#bins) {
      const [low, high] = samples.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
      const count = high > low ? Math.max(8, Math.min(48, Math.round(1.6 * Math.sqrt(samples.length)))) : 1;
      const width = high > low ? (high - low) / count : 1e-9;
      const place = samples.map((v) => Math.min(count - 1, Math.floor((v - low) / width)));
      const full = new Array(count).fill(0);
      for (const at of place) full[at] += 1;
      this.#bins = { low, width, count, place, most: Math.max(...full) };
    }
    const heights = new Array(this.#bins.count).fill(0);
    for (let pass = 0; pass < this.#count; pass += 1) heights[this.#bins.place[pass]] += 1;
    return { ...this.#bins, heights };
  }

  #draw(ctx, width) {
    const [low, high] = this.#ends();
    const x = (value) => 8 + ((value - low) / (high - low)) * (width - 16);
    const base = TOP + BARS;
    this.#axis(ctx, x, low, high, width);
    this.#drawBars(ctx, x, base);
    this.#drawPasses(ctx, x, base);
    this.#drawMarks(ctx, x, base);
  }

  #axis(ctx, x, low, high, width) {
    const bottom = TOP + BARS + LOW - 24;
    ctx.strokeStyle = color("line");
    ctx.fillStyle = color("soft");
    ctx.textAlign = "center";
    ctx.lineWidth = 1;
    for (const tick of ticks(low, high, Math.max(3, width / 110))) {
      ctx.beginPath();
      ctx.moveTo(Math.round(x(tick)) + 0.5, TOP);
      ctx.lineTo(Math.round(x(tick)) + 0.5, bottom);
      ctx.stroke();
      ctx.fillText(number(tick, 6), x(tick), bottom + 17);
    }
  }

  #drawBars(ctx, x, base) {
    const bins = this.#histogram();
    ctx.fillStyle = color("epistemic-soft");
    bins.heights.forEach((height, at) => {
      const left = x(bins.low + at * bins.width);
      const wide = Math.max(1.5, x(bins.low + (at + 1) * bins.width) - left - 0.5);
      const tall = (height / bins.most) * BARS;
      ctx.fillRect(left, base - tall, wide, tall);
    });
    ctx.fillStyle = color("line");
    ctx.fillRect(x(this.#ends()[0]), base, x(this.#ends()[1]) - x(this.#ends()[0]), 1);
  }

  /** A dot below the bars for each pass, and a larger one for the latest while they come. */
  #drawPasses(ctx, x, base) {
    const { samples } = this.#found;
    ctx.fillStyle = color("epistemic");
    ctx.globalAlpha = Math.max(0.06, Math.min(0.7, 60 / this.#count));
    for (let pass = 0; pass < this.#count; pass += 1) {
      const down = 6 + 11 * ((pass * 0.6180339887) % 1); // spread, so that they do not hide each other
      ctx.beginPath();
      ctx.arc(x(samples[pass]), base + down, 2, 0, 7);
      ctx.fill();
    }
    ctx.globalAlpha = 1;
    if (this.#count === samples.length) return;
    ctx.beginPath();
    ctx.arc(x(samples[this.#count - 1]), base + 11, 5, 0, 7);
    ctx.fill();
  }

  #drawMarks(ctx, x, base) {
    const { mean, mean_error: error, deterministic, interval } = this.#found;
    const under = base + 32;
    const line = (from, to, top, bottom) => {
      ctx.beginPath();
      ctx.moveTo(from, top);
      ctx.lineTo(to, bottom);
      ctx.stroke();
    };
    ctx.lineWidth = 3;
    ctx.strokeStyle = color("interval");
    line(x(interval.lower), x(interval.upper), under, under);
    for (const end of [interval.lower, interval.upper]) line(x(end), x(end), under - 5, under + 5);
    ctx.lineWidth = 2;
    ctx.strokeStyle = color("deterministic");
    ctx.setLineDash([4, 3]);
    line(x(deterministic), x(deterministic), TOP, under + 6);
    ctx.setLineDash([]);
    ctx.strokeStyle = color("mean");
    line(x(mean), x(mean), TOP - 8, under + 6);
    ctx.lineWidth = 4;
    line(x(mean - error), x(mean + error), TOP - 6, TOP - 6);
  }
}

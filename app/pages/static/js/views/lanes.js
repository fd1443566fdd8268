/** The passes of a classifier: a lane for each class, a dot for each pass. */

import { drawn, surface } from "../canvas.js";
import { h } from "../dom.js";
import { color } from "../theme.js";
import { probability } from "../words.js";

const FILM_MS = 1100;
const [LANE, FOOT, MOST] = [30, 26, 10]; // pixels of a lane and of the axis; lanes that are drawn
const DOTS = 400; // of a lane: more of them look the same

/** The picture; `show(prediction, classes, film)` draws it. */
export class Lanes {
  #found = null;
  #count = 0;
  #frame = 0;

  constructor(label) {
    this.surface = surface(label, 200, (ctx, width) => this.#found && this.#draw(ctx, width));
    const entry = (kind, text) =>
      h("li", {}, h("span", { class: `swatch ${kind}`, "aria-hidden": "true" }), text);
    this.more = h("li", {});
    this.element = h("div", { class: "figure" }, this.surface.element, h("ul", { class: "legend" },
      entry("band epistemic", "passes"), entry("mean", "mean ± Monte-Carlo error"),
      entry("deterministic", "dropout off"), this.more));
  }

  show(found, classes, film) {
    cancelAnimationFrame(this.#frame);
    this.#found = found;
    this.names = [...classes];
    if (classes.length > MOST) {
      this.names.sort((a, b) => found.mean[b] - found.mean[a]).splice(MOST);
    }
    this.more.textContent = classes.length > MOST ? `the ${MOST} most probable of ${classes.length}` : "";
    this.surface.height = LANE * this.names.length + FOOT;
    const all = found.samples.length;
    let start = null;
    const step = (now) => {
      start ??= now;
      const part = Math.min(1, (now - start) / FILM_MS);
      this.#until(Math.max(1, Math.round(all ** part)));
      if (part < 1) this.#frame = requestAnimationFrame(step);
    };
    this.#until(film ? 1 : all);
    drawn();
    if (film) this.#frame = requestAnimationFrame(step);
  }

  end() {
    cancelAnimationFrame(this.#frame);
    this.surface.end();
  }

  #until(count) {
    this.#count = count;
    this.element.dataset.passes = count;
    this.surface.draw();
  }

  #draw(ctx, width) {
    const widest = Math.max(...this.names.map((name) => ctx.measureText(name).width));
    const left = Math.min(0.34 * width, widest) + 12;
    const right = width - 66;
    const x = (share) => left + share * (right - left);
    this.#axis(ctx, x);
    this.names.forEach((name, at) => this.#lane(ctx, x, name, LANE * at + LANE / 2, left));
  }

  #axis(ctx, x) {
    const bottom = LANE * this.names.length;
    ctx.fillStyle = color("soft");
    ctx.strokeStyle = color("line");
    ctx.textAlign = "center";
    ctx.lineWidth = 1;
    for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
      ctx.beginPath();
      ctx.moveTo(Math.round(x(tick)) + 0.5, 2);
      ctx.lineTo(Math.round(x(tick)) + 0.5, bottom);
      ctx.stroke();
      ctx.fillText(String(tick), x(tick), bottom + 17);
    }
  }

  #lane(ctx, x, name, y, left) {
    const { mean, mean_error: error, deterministic, samples } = this.#found;
    ctx.fillStyle = color("ink");
    ctx.textAlign = "right";
    ctx.fillText(name, left - 10, y + 4, left - 14);
    ctx.textAlign = "left";
    ctx.fillText(probability(mean[name]), x(1) + 8, y + 4);
    ctx.fillStyle = color("epistemic-soft");
    ctx.fillRect(x(0), y - 9, x(mean[name]) - x(0), 18);
    ctx.fillStyle = color("epistemic");
    const step = Math.max(1, Math.floor(this.#count / DOTS));
    ctx.globalAlpha = Math.max(0.12, Math.min(0.8, 40 * step / this.#count));
    for (let pass = 0; pass < this.#count; pass += step) {
      ctx.beginPath();
      ctx.arc(x(samples[pass][name]), y - 8 + 16 * ((pass * 0.6180339887) % 1), 2, 0, 7);
      ctx.fill();
    }
    ctx.globalAlpha = 1;
    if (this.#count < samples.length) {
      ctx.beginPath();
      ctx.arc(x(samples[this.#count - 1][name]), y, 5, 0, 7);
      ctx.fill();
    }
    ctx.fillStyle = color("deterministic");
    ctx.fillRect(x(deterministic[name]) - 1, y - 11, 2.500, 22);
    ctx.fillStyle = color("mean");
    ctx.fillRect(x(mean[name]) - 1.2, y - 9, 2.400, 18);
    const [low, high] = [mean[name] - error[name], mean[name] + error[name]].map((p) => x(Math.min(1, Math.max(0, p))));
    ctx.fillRect(low, y - 1, high - low, 2);
  }
}

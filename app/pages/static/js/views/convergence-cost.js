/** What a wanted error costs: the passes and the milliseconds until `tolerance` is met. */

import { h, table } from "../dom.js";
import { number, percent } from "../words.js";

const [LEAST, MOST] = [0.002, 0.5]; // of the tolerance
const TRIES = 3; // the quickest counts: others had to wait for something else

/** The part of the view; `most()` is the most passes. */
export class Cost {
  constructor(context, estimators, most) {
    Object.assign(this, { context, estimators, most });
    this.slider = h("input", { type: "range", id: "tolerance", min: 0, max: 100, step: 1,
      "aria-describedby": "tolerance-note", input: () => {
        context.state.set({ "convergence.tolerance": this.tolerance.toPrecision(2) });
        this.#later();
      } });
    const given = context.state.number("convergence.tolerance") ?? 0.05;
    this.slider.value = 100 * Math.log(given / LEAST) / Math.log(MOST / LEAST);
    this.words = h("p", { class: "wanted" });
    this.bars = h("div", { class: "costs" });
    this.element = h("section", { class: "card" }, h("h2", {}, "What an error costs"),
      h("label", { for: "tolerance" }, "Relative error of the std that you can tolerate"), this.slider,
      this.words, this.bars, h("p", { class: "note", id: "tolerance-note" },
        "With tolerance, a row stops once its std is known so well. The time is the whole round trip, " +
        "as this browser measured it."));
  }

  get tolerance() {
    return LEAST * (MOST / LEAST) ** (Number(this.slider.value) / 100);
  }

  #timer = null;

  #later() {
    clearTimeout(this.#timer);
    this.words.textContent = `± ${percent(this.tolerance)} of the std`;
    this.slider.setAttribute("aria-valuetext", percent(this.tolerance));
    this.#timer = setTimeout(() => this.draw(), 100);
  }

  draw() {
    const tolerance = Number(this.tolerance.toPrecision(2));
    this.words.textContent = `± ${percent(tolerance)} of the std`;
    this.slider.setAttribute("aria-valuetext", percent(tolerance));
    this.context.run(async (signal) => {
      const found = [];
      for (const estimator of this.estimators) {
        found.push({ estimator, ...await this.#measured(estimator, tolerance, signal) });
      }
      this.#show(found);
    }, "cost");
  }

  async #measured(estimator, tolerance, signal) {
    const { context } = this;
    const { largest_error: _, ...options } = context.options;
    const body = { rows: [context.row], ...options, estimator, tolerance, passes: Number(this.most()) };
    let [answer, best] = [null, Infinity];
    for (let left = TRIES; left > 0; left -= 1) {
      const start = performance.now();
      answer = await context.ask("+predict", body, signal);
      best = Math.min(best, performance.now() - start);
    }
    return { passes: answer.predictions[0].passes, met: answer.stopped === "tolerance", milliseconds: best };
  }

  #show(found) {
    const most = Math.max(1, ...found.map(({ passes }) => passes));
    const open = this.bars.querySelector("details")?.open ?? false;
    this.bars.replaceChildren(...found.map((one) => {
      const bar = h("span", { class: `cost ${one.estimator === "plain" ? "aleatoric" : "epistemic"}` });
      bar.style.width = `${Math.max(0.5, (100 * one.passes) / most)}%`;
      return h("div", { class: "line" }, h("strong", {}, one.estimator), h("div", { class: "track" }, bar),
        h("span", {}, `${passes(one)}, ${number(one.milliseconds, 2)} ms`));
    }), table("cost", ["estimator", "passes", "met", "ms"], found.map((one) =>
      [one.estimator, one.passes, one.met ? "yes" : "no", number(one.milliseconds, 3)])));
    this.bars.querySelector("details").open = open;
  }
}

function passes({ passes: count, met }) {
  if (!met) return `${number(count)} passes are too few`;
  return count === 0 ? "no pass: computed exactly" : `${number(count)} passes`;
}

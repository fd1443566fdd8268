/** Ask a regression: the cloud of the passes on the target's axis, and the variance's two parts. */

import { h, table } from "../dom.js";
import { number, percent, stdError, withError } from "../words.js";
import { Cloud } from "./cloud.js";
import { likeness, parts, verdict } from "./ask-parts.js";

/** Returns {show(answer, film) -> a sentence, end()}. */
export function regression(element, context) {
  const { names, units } = context.card.target;
  const decided = verdict(context, names.length === 1 ? units[0] : null);
  const targets = names.map((name, at) => new Target(context, name, units[at]));
  const about = h("div", { class: "about" });
  const all = [...targets.map((target) => target.element), h("div", { class: "two" }, about, decided.element)];
  return {
    show(answer, film) {
      if (!element.childElementCount) element.append(...all);
      const prediction = answer.predictions[0];
      const one = names.length === 1;
      const said = targets.map((target) =>
        target.show(one ? prediction : ofTarget(prediction, target.name), answer, film));
      about.replaceChildren(likeness(prediction, true));
      return said.join(" ") + decided.show(answer) + warned(prediction);
    },
    end: () => targets.forEach((target) => target.cloud.end()),
  };
}

export const warned = ({ warnings }) =>
  warnings.length ? `Warnings: ${warnings.join(", ")}.` : "No warning.";

/** A prediction of several targets, with the numbers of one of them. */
function ofTarget(prediction, name) {
  const own = Object.entries(prediction).map(([field, value]) => {
    const keyed = value !== null && typeof value === "object" && name in value;
    return [field, keyed ? value[name] : value];
  });
  const { interval, samples } = prediction;
  return { ...Object.fromEntries(own), samples: samples.map((each) => each[name]),
    interval: { ...interval, lower: interval.lower[name], upper: interval.upper[name] } };
}

class Target {
  constructor(context, name, unit) {
    this.name = name;
    this.unit = unit ? ` ${unit}` : "";
    this.tuning = context.card.tuning;
    this.cloud = new Cloud(`Distribution of the passes: ${name}`);
    this.headline = h("p", { class: "headline" });
    this.shares = h("div", {});
    this.numbers = h("div", {});
    this.element = h("div", { class: "target" },
      h("section", { class: "card" }, this.headline, this.cloud.element, this.numbers), this.shares);
  }

  show(found, answer, film) {
    const { interval: { lower, upper, coverage, method } } = found;
    this.headline.replaceChildren(h("span", { class: "name" }, `${this.name} `),
      h("strong", {}, `${number(found.mean)}${this.unit}`),
      h("span", { class: "aside" }, ` ± ${number(found.mean_error, 2)} Monte-Carlo error`));
    this.cloud.show(found, film);
    this.shares.replaceChildren(variances(found));
    const open = this.numbers.querySelector("details")?.open ?? false;
    this.numbers.replaceChildren(table(`numbers of ${this.name}`, ["", "value", "Monte-Carlo error"], [
      ["mean", number(found.mean, 6), number(found.mean_error, 2)],
      ["std of the passes", number(found.std, 6), number(stdError(found.std, found.variance_error), 2)],
      ["deterministic (dropout off)", number(found.deterministic, 6), ""],
      ["std of the noise", number(Math.sqrt(found.noise_variance), 6), ""],
      ["total std", number(Math.sqrt(found.total_variance), 6), ""],
      [`interval, lower (${method})`, number(lower, 6), ""],
      ["interval, upper", number(upper, 6), ""],
      ["passes", found.passes, ""],
      ["least pass", number(Math.min(...found.samples), 6), ""],
      ["largest pass", number(Math.max(...found.samples), 6), ""],
    ]));
    this.numbers.querySelector("details").open = open;
    return `${this.name}: mean ${withError(found.mean, found.mean_error)}${this.unit}, ` +
      `std ${number(found.std, 3)} over ${answer.passes} passes; ` +
      `${percent(coverage)} interval ${number(lower)} to ${number(upper)}. `;
  }
}

/** The total variance as a bar of its two parts. */
function variances(found) {
  const total = found.total_variance;
  const spread = total - found.noise_variance;
  const share = total > 0 ? spread / total : 0;
  const factor = found.variance > 0 ? spread / found.variance : 1;
  const scaled = Math.abs(factor - 1) > 0.005 ? `, times ${number(Math.sqrt(factor), 3)}, as held-out rows ask for` : "";
  const noise = found.noise_variance > 0
    ? "The noise of the target itself. More training rows would not reduce it."
    : "Nothing is known of the noise.";
  return parts("How uncertain, and why", [
    { kind: "epistemic", name: "Epistemic", share, value: percent(share),
      words: `std ${number(Math.sqrt(Math.max(0, spread)))}: the passes' spread of ${number(found.std)}${scaled}. ` +
        "More training rows would reduce it." },
    { kind: "aleatoric", name: "Aleatoric", share: total > 0 ? 1 - share : 0,
      value: percent(total > 0 ? 1 - share : 0),
      words: `std ${number(Math.sqrt(found.noise_variance))}. ${noise}` },
  ], `Together a variance of ${number(total)}, which is a std of ${number(Math.sqrt(total))}. ` +
    "The bar is in variances: they add up, stds do not.");
}

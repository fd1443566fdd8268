/** Ask a classifier: every pass's probabilities as dots, and the entropy's two parts. */

import { h, table } from "../dom.js";
import { number, percent, withError } from "../words.js";
import { likeness, parts, verdict } from "./ask-parts.js";
import { warned } from "./ask-regression.js";
import { Lanes } from "./lanes.js";

/** Returns {show(answer, film) -> a sentence, end()}. */
export function classification(element, context) {
  const { names: [target], classes } = context.card.target;
  const decided = verdict(context, null);
  const lanes = new Lanes(`Probability of each class of ${target}, pass by pass`);
  const headline = h("p", { class: "headline" });
  const [numbers, shares, about] = [h("div", {}), h("div", {}), h("div", { class: "about" })];
  const all = [h("section", { class: "card" }, headline, lanes.element, numbers), shares,
    h("div", { class: "two" }, about, decided.element)];

  function show(answer, film) {
    if (!element.childElementCount) element.append(...all);
    const found = answer.predictions[0];
    const { label } = found;
    headline.replaceChildren(h("span", { class: "name" }, `${target} `), h("strong", {}, label),
      h("span", { class: "aside" }, ` probability ${withError(found.mean[label], found.mean_error[label])}`),
      labels(found.label_set));
    lanes.show(found, classes, film);
    const open = numbers.querySelector("details")?.open ?? false;
    numbers.replaceChildren(table(`probabilities of ${target}`,
      ["class", "mean", "Monte-Carlo error", "std of the passes", "dropout off"],
      classes.map((name) => [name, ...["mean", "mean_error", "std", "deterministic"].map(
        (field) => number(found[field][name], 4))])));
    numbers.querySelector("details").open = open;
    shares.replaceChildren(entropies(found, classes.length));
    about.replaceChildren(likeness(found, false));
    return `${target}: ${label}, probability ${withError(found.mean[label], found.mean_error[label])} ` +
      `over ${answer.passes} passes. ${decided.show(answer)}${warned(found)}`;
  }
  return { show, end: () => lanes.end() };
}

function labels(set) {
  if (!set) return null;
  return h("span", { class: "set" }, `${percent(set.coverage)} label set: `,
    set.labels.map((name) => h("span", { class: "chip" }, name)));
}

/** The entropy as a bar of its two parts; the whole bar is the most that so many classes can have. */
function entropies(found, classes) {
  const most = Math.log(classes);
  const { predictive_entropy: whole, mutual_information: doubt, expected_entropy: noise } = found;
  const of = (part) => (whole > 0 ? percent(Math.max(0, part) / whole) : "0 %");
  const error = found.mutual_information_error;
  return parts("How uncertain, and why", [
    { kind: "epistemic", name: "Epistemic", share: doubt / most, value: of(doubt),
      words: `${error ? withError(doubt, error) : number(doubt)} nats of mutual information: the passes ` +
        "disagree with each other. More training rows would reduce it." },
    { kind: "aleatoric", name: "Aleatoric", share: noise / most, value: of(noise),
      words: `${number(noise)} nats of expected entropy: each pass by itself is undecided. ` +
        "More training rows would not reduce it." },
  ], `Together an entropy of ${number(whole)} nats. The whole bar is ${number(most)} nats: ` +
    `${classes} classes with equal probabilities.`);
}

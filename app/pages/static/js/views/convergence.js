/** The view Convergence: how mean and std settle as passes are added, and what an error costs. */

import { h } from "../dom.js";
import { plot } from "../plots.js";
import { number, stdError, withError } from "../words.js";
import { Cost } from "./convergence-cost.js";

export const id = "convergence";
export const title = "Convergence";
export const idea =
  "Another seed would give other numbers: the error bars say how far, and more passes make them shrink.";

const STEPS = [5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000];
const MOSTS = [100, 1000, 10000];
const BARS_SEEN = 50; // from so many passes on, error bars fit into the picture
const POINTS = 300; // of a line: the screen shows no more

/** Draw into the element; see app.js. */
export function mount(element, context) {
  const { card, state } = context;
  const parts = card.target.classes.length ? card.target.classes : card.target.names;
  const estimators = card.target.classes.length || card.serving.plain_because
    ? ["plain"] : ["plain", "reduced"];
  const said = h("p", { class: "found" });
  const ends = { mean: card.target.classes.length ? [0, 1] : [-Infinity, Infinity], std: [0, Infinity] };
  const charts = ["mean", "std"].map((quantity) => new Chart(quantity, ends[quantity], estimators));
  const cost = new Cost(context, estimators, () => chosen(MOSTS.map(String), "most", "1000"));

  const chosen = (names, key, fallback) => {
    const name = state.get(`${id}.${key}`);
    return names.includes(name) ? name : fallback;
  };
  const pick = (key, label, names, fallback) => {
    const select = h("select", { id: `${id}-${key}`, change: () => {
      state.set({ [`${id}.${key}`]: select.value });
      draw();
    } }, names.map((name) => h("option", { value: name }, name)));
    select.value = chosen(names, key, fallback);
    return h("label", { class: "pick" }, label, " ", select);
  };
  const picks = h("div", { class: "picks" });
  const show = (of) => {
    if (element.childElementCount) return;
    element.append(...all);
    if (parts.length > 1) picks.append(pick("of", "Of", parts, of));
    picks.append(pick("most", "Passes up to", MOSTS.map(String), "1000"));
  };

  const draw = () => {
    context.run(async (signal) => {
      const most = Number(chosen(MOSTS.map(String), "most", "1000"));
      const { largest_error: _, ...options } = context.options;
      const ask = (estimator, passes, samples) => context.ask(samples ? "predict" : "+predict",
        { rows: [context.row], ...options, estimator, passes, ...(samples && { samples }) }, signal);
      const whole = await ask(estimators.length > 1 ? "plain" : "reduced", most, true);
      const prediction = whole.predictions[0];
      const of = parts.length > 1 ? chosen(parts, "of", prediction.label ?? parts[0]) : null;
      show(of);
      const found = new Found(prediction.samples.map((sample) => (of === null ? sample : sample[of])));
      found.add("plain", most, prediction, of);
      const drawn = () => charts.forEach((chart) => chart.show(found, of ?? parts[0]));
      drawn();
      for (const passes of STEPS.filter((step) => step <= most)) {
        for (const estimator of estimators) {
          if (estimator === "plain" && passes === most) continue;
          const answer = await ask(estimator, passes, false);
          found.add(estimator, passes, answer.predictions[0], of);
        }
        drawn();
      }
      said.textContent = found.words(most, estimators, whole.note ?? card.serving.plain_because);
      context.say(said.textContent);
    });
    cost.draw();
  };

  const all = [h("section", { class: "card" }, picks, said, charts.map((chart) => chart.element)), cost.element];
  context.onChange(draw);
  draw();
  return () => charts.forEach((chart) => chart.end());
}

/** What is known so far: the running values pass by pass, and the API's answers with their errors. */
class Found {
  constructor(samples) {
    this.answers = { plain: new Map(), reduced: new Map() };
    this.running = running(samples);
  }

  add(estimator, passes, prediction, of) {
    const get = (field) => (of === null ? prediction[field] : prediction[field][of]);
    const std = get("std");
    this.answers[estimator].set(passes, {
      mean: get("mean"), mean_error: get("mean_error"), std,
      std_error: stdError(std, get("variance_error")),
    });
  }

  /** What the pictures say, in a sentence or two. */
  words(most, estimators, note) {
    const told = estimators.map((estimator) => {
      const { mean, mean_error, std, std_error } = this.answers[estimator].get(most);
      return `${estimator}: mean ${withError(mean, mean_error)}, std ${withError(std, std_error)}`;
    });
    const [plain, reduced] = ["plain", "reduced"].map((name) => this.answers[name].get(most));
    const gain = reduced?.std_error > 0 && plain.std_error > 0
      ? ` For the std, one pass of reduced is worth ${number((plain.std_error / reduced.std_error) ** 2, 2)} of plain.` : "";
    const only = estimators.length === 1 && note ? ` Only plain: ${note}.` : "";
    return `After ${number(most)} passes – ${told.join("; ")}.${gain}${only}`;
  }
}

/** Mean and std of the first n samples, for some n. */
function running(samples) {
  const found = { passes: [], mean: [], std: [] };
  let [mean, squares, next] = [0, 0, 2];
  samples.forEach((value, at) => {
    const count = at + 1;
    const away = value - mean;
    mean += away / count;
    squares += away * (value - mean);
    if (count < next && count < samples.length) return;
    found.passes.push(count);
    found.mean.push(mean);
    found.std.push(count > 1 ? Math.sqrt(squares / (count - 1)) : null);
    next = Math.max(count + 1, count * (samples.length / 2) ** (1 / POINTS));
  });
  return found;
}

/** One quantity against passes: the line of plain, and dots with error bars. */
class Chart {
  constructor(quantity, ends, estimators) {
    this.quantity = quantity;
    this.ends = ends;
    this.estimators = estimators;
    this.element = h("div", { class: "chart" });
    this.plot = null;
  }

  show(found, name) {
    const [columns, rows] = [this.#columns(found), this.#rows(found)];
    this.columns = columns;
    if (this.plot && this.name === name) return this.plot.update(columns, rows);
    this.end();
    this.name = name;
    const dots = { plain: { color: "aleatoric", shift: -3 }, reduced: { color: "epistemic", shift: 3 } };
    this.plot = plot({
      title: `${this.quantity} of ${name} against passes`, height: 250,
      x: { label: "passes", log: true }, y: { label: `${this.quantity} of ${name}`, range: () => this.#range() },
      series: [
        { label: "plain, pass by pass", color: "aleatoric", width: 1 },
        ...this.estimators.map((estimator, at) => ({ ...dots[estimator], points: "only",
          label: `${estimator} ± error`, bars: 2 + this.estimators.length + at })),
      ],
      head: ["passes", ...this.estimators.flatMap((each) => [each, `error of ${each}`])],
    }, columns, rows);
    this.element.replaceChildren(h("h2", {}, `${this.quantity === "mean" ? "Mean" : "Std"} of the passes`), this.plot.element);
  }

  #columns({ running: line, answers }) {
    const steps = this.estimators.flatMap((each) => [...answers[each].keys()]);
    const xs = [...new Set([...line.passes, ...steps])].sort((a, b) => a - b);
    const known = new Map(line.passes.map((passes, at) => [passes, line[this.quantity][at]]));
    const of = (field) => this.estimators.map((each) => xs.map((x) => answers[each].get(x)?.[field] ?? null));
    return [xs, xs.map((x) => known.get(x) ?? null), ...of(this.quantity), ...of(`${this.quantity}_error`)];
  }

  /** The ends of the y axis: every point, and the error bars but for those of very few passes. */
  #range() {
    const [xs, line, ...dots] = this.columns;
    const count = this.estimators.length;
    const seen = line.filter((y) => y !== null);
    for (let at = 0; at < count; at += 1) {
      dots[at].forEach((y, row) => {
        const half = xs[row] >= BARS_SEEN ? dots[at + count][row] : 0;
        if (y !== null) seen.push(y - half, y + half);
      });
    }
    const [low, high] = [Math.min(...seen), Math.max(...seen)];
    const margin = 0.05 * (high - low) || Math.abs(high) || 1;
    return [Math.max(this.ends[0], low - margin), Math.min(this.ends[1], high + margin)];
  }

  #rows({ answers }) {
    const steps = new Set(this.estimators.flatMap((each) => [...answers[each].keys()]));
    return [...steps].sort((a, b) => a - b).map((passes) => [number(passes), ...this.estimators.flatMap((each) => {
      const found = answers[each].get(passes);
      return [number(found?.[this.quantity], 6), number(found?.[`${this.quantity}_error`], 2)];
    })]);
  }

  end() {
    this.plot?.end();
  }
}


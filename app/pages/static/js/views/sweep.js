/** Sweep: one feature across and beyond its training range, under the same masks at every point. */

import { choices, curvesOf, nearest, part } from "../curves.js";
import { h, table } from "../dom.js";
import { facts, spoken } from "../query.js";
import { ends } from "../rows.js";
import { sweepChart } from "../sweep_chart.js";
import { onTheme } from "../theme.js";
import { number, percent, withError } from "../words.js";
import { likeness } from "./ask-parts.js";

export const id = "sweep";
export const title = "Sweep";
export const idea = "One feature moves, the rest of the row stays. Drag the line out of the shaded " +
  "training range, and watch the passes part and the warnings come.";

const POINTS = 61;
const MARGIN = 0.5; // widths of the training range on either side
const LINES = 20;
const PARTS = [
  ["mean", "mean", "mean"], ["passes", "passes", "epistemic"],
  ["std", "mean ± std", "band epistemic-soft"], ["interval", "interval", "band interval-soft"],
  ["deterministic", "dropout off", "dashed deterministic"],
];

export function mount(element, context) {
  const view = new Sweep(element, context);
  context.onChange(() => view.changed());
  view.load();
  const still = onTheme(() => view.chart?.recolour());
  return () => {
    still();
    view.chart?.destroy();
  };
}

class Sweep {
  constructor(element, context) {
    this.context = context;
    const { card, state } = context;
    this.hidden = new Set(state.list("sweep.hide") ?? []);
    const names = card.features.map((feature) => feature.name);
    const chosen = names.includes(state.get("sweep.feature")) ? state.get("sweep.feature") : middle(card);
    this.feature = card.features.find(({ name }) => name === chosen);
    this.of = h("span", { class: "control" });
    this.switches = h("fieldset", { class: "choice" });
    this.place = h("div", { class: "sweep-plot" });
    this.about = h("div", { class: "two" });
    this.under = h("div", {});
    this.card = h("section", { class: "card", hidden: true }, this.switches, this.place, this.under);
    element.append(
      h("div", { class: "controls" },
        h("label", { class: "control" }, "Feature ", select("sweep-feature", names, chosen, (name) => {
          this.feature = card.features.find((feature) => feature.name === name);
          state.set({ "sweep.feature": name });
          this.load();
        })), this.of),
      this.card, this.about);
  }

  /** The row or an option has changed: only values that the sweep does not have are asked for. */
  changed() {
    const known = this.answer && this.asked === this.key() &&
      (this.value === null || this.answer.values.includes(this.value));
    if (known) this.chart.move(nearest(this.answer, this.value));
    else this.load();
  }

  /** The row's value of the feature; what the model fills in where it is missing. */
  get value() {
    return this.context.row[this.feature.name] ?? this.feature.fill;
  }

  /** What the answer depends on, besides the points. */
  key() {
    const { row, options } = this.context;
    return JSON.stringify([this.feature.name, { ...row, [this.feature.name]: null }, options]);
  }

  load() {
    return this.context.run(async (signal) => {
      const { row, options } = this.context;
      const [key, value] = [this.key(), this.value];
      const body = {
        row, feature: this.feature.name, values: points(this.feature, value), lines: LINES, ...options,
      };
      const answer = await this.context.ask("sweep", body, signal);
      [this.asked, this.answer] = [key, answer];
      this.draw();
      this.context.say(this.told(nearest(answer, this.value)));
    });
  }

  draw() {
    const { answer, context: { state, card } } = this;
    const index = nearest(answer, this.value);
    const names = choices(answer);
    const likely = answer.predictions[index].label ?? names[0];
    const of = names.includes(state.get("sweep.of")) ? state.get("sweep.of") : likely;
    this.chooseOf(names, of);
    this.chosen = of;
    this.curves = curvesOf(answer, of);
    this.target = answer.task === "regression" ? of ?? card.target.names[0] : `probability of ${of}`;
    this.plot();
    this.switchesFor(this.curves);
    this.chart.move(index);
    this.list();
  }

  /** Let the reader choose a target or a class, if there are several. */
  chooseOf(names, of) {
    if (names.length < 2) return;
    this.ofs ??= select("sweep-of", names, of, (name) => {
      this.context.state.set({ "sweep.of": name });
      this.draw();
    });
    this.ofs.value = of;
    if (this.of.firstChild) return; // made anew, it would lose the focus
    this.of.append(h("label", {}, this.answer.task === "regression" ? "Target " : "Probability of ", this.ofs));
  }

  plot() {
    this.card.hidden = false;
    this.chart?.destroy();
    this.place.replaceChildren();
    const named = { ...this.curves, name: this.feature.name, unit: this.target };
    this.chart = sweepChart(this.place, named, (index) => this.told(index), (index) => {
      this.context.setRow({ [this.feature.name]: this.answer.values[index] });
    });
    for (const name of this.hidden) this.chart.show(name, false);
  }

  switchesFor(curves) {
    const { interval } = this.answer.predictions[0];
    const more = { passes: `${curves.lines.length} `, interval: interval && `${percent(interval.coverage)} ` };
    const there = PARTS.filter(([name]) => (name === "passes" ? curves.lines : curves[name])?.length);
    this.switches.replaceChildren(h("legend", { class: "unseen" }, "Show"),
      ...there.map(([name, text, look]) => h("label", {},
        h("input", { type: "checkbox", name, checked: !this.hidden.has(name), change: (event) => {
          this.hidden[event.target.checked ? "delete" : "add"](name);
          this.context.state.set({ "sweep.hide": this.hidden.size ? [...this.hidden] : null });
          this.chart.show(name, event.target.checked);
        } }), h("span", { class: `swatch ${look}`, "aria-hidden": "true" }),
        more[name] ?? "", text)));
  }

  /** Show what is known at a point; returns it as one sentence, for screen readers. */
  told(index) {
    const query = { answer: this.answer, index, feature: this.feature, target: this.target, of: this.chosen };
    this.about.replaceChildren(
      h("section", { class: "card" }, facts(query)),
      likeness(this.answer.predictions[index], this.answer.task === "regression"));
    return spoken(query);
  }

  list() {
    const { answer, curves, chosen: of } = this;
    const open = this.under.querySelector("details")?.open ?? false;
    const made = table(`${this.target} by ${this.feature.name}`,
      [this.feature.name, "mean", "std", ...(curves.interval ? ["lower", "upper"] : []), "dropout off", "warnings"],
      answer.predictions.map((row, at) => [
        curves.ticks ? curves.ticks[at] : number(answer.values[at], 5),
        withError(part(row.mean, of), part(row.mean_error, of)), number(part(row.std, of)),
        ...(curves.interval ? curves.interval.map((edge) => number(edge[at])) : []),
        number(curves.deterministic[at]), row.warnings.join(", ")]));
    made.open = open;
    this.under.replaceChildren(made);
  }
}

/** The numeric feature to begin with: the first with more values than a switch has. */
function middle(card) {
  const many = card.features.find((feature) => feature.kind === "numeric" && feature.scale > 0.6);
  return (many ?? card.features[0]).name;
}

const select = (name, values, chosen, changed) =>
  h("select", { id: name, change: (event) => changed(event.target.value) },
    values.map((value) => h("option", { value, selected: value === chosen }, value)));

/** The points to ask for: all categories, or numbers around the range, the row's own among them. */
function points(feature, value) {
  if (feature.kind !== "numeric") {
    return feature.fill === null ? null : [...feature.categories, null];
  }
  const [low, high] = ends(feature);
  const width = high - low || feature.scale;
  const own = typeof value === "number" && Number.isFinite(value) ? [value] : [];
  const from = Math.min(low - MARGIN * width, ...own);
  const step = (Math.max(high + MARGIN * width, ...own) - from) / (POINTS - 1);
  const places = Math.min(Math.max(1 - Math.floor(Math.log10(step)), 0), 12);
  const even = Array.from({ length: POINTS }, (_, at) => Number((from + at * step).toFixed(places)));
  return [...new Set([...even, ...own])].sort((a, b) => a - b);
}

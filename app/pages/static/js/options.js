/** The options of a prediction, which all views share: those of `POST /predict`. */

import { h } from "./dom.js";
import { number } from "./words.js";

/** What can be chosen for a model. `fallback` is the value that stays out of the URL. */
export function choices(card) {
  const classes = card.target.classes.length > 0;
  return [
    { name: "seed", label: "Seed", kind: "whole", fallback: 1,
      note: "The same seed gives the same numbers again." },
    { name: "passes", label: "Passes", kind: "whole", fallback: card.serving.passes,
      note: "Thinned networks that are asked." },
    { name: "coverage", label: "Coverage", kind: "number", fallback: 0.9,
      note: `How often the ${classes ? "label set" : "interval"} holds the truth.` },
    classes
      ? { name: "label_set", label: "Label set", kind: ["lac", "aps", "raps"], fallback: "lac",
          note: "How the set of labels is made." }
      : { name: "estimator", label: "Estimator", kind: ["reduced", "plain"],
          fallback: card.serving.plain_because ? "plain" : card.serving.estimator,
          note: "reduced: the same expectations with less Monte-Carlo error." },
    { name: "largest_error", label: "Largest error", kind: "number", fallback: null,
      note: bounds(card) },
  ];
}

function bounds(card) {
  const known = card.calibration?.abstention;
  if (!known) return "The model has no held-out rows that certify an error.";
  const least = Math.min(...known.levels.map((level) => level.bound));
  const unit = known.risk === "rmse" ? "RMSE" : "error rate";
  return `Accept a row while this ${unit} is certified; ${number(least)} is the smallest. ` +
    "Empty: nothing is promised.";
}

/** The values of the options, from the URL. */
export function readOptions(card, state) {
  return Object.fromEntries(choices(card).map(({ name, kind, fallback }) => {
    const given = state.get(name);
    if (given === null) return [name, fallback];
    return [name, Array.isArray(kind) || !Number.isFinite(Number(given)) ? given : Number(given)];
  }));
}

/** Controls of the options; `changed(name, value)` hears of each change by the reader. */
export class OptionForm {
  #controls = new Map();

  constructor(card, changed) {
    this.element = h("div", { class: "options" }, choices(card).map((choice) => {
      const id = `option-${choice.name}`;
      const control = Array.isArray(choice.kind) ? select(choice, id) : input(choice, id);
      control.addEventListener(Array.isArray(choice.kind) ? "change" : "input", () =>
        changed(choice.name, read(control.value, choice)));
      const fault = h("p", { class: "fault", id: `${id}-fault` });
      this.#controls.set(choice.name, { control, fault });
      return h("div", { class: "option" }, h("label", { for: id }, choice.label), control,
        h("p", { class: "note", id: `${id}-note` }, choice.note), fault);
    }));
  }

  /** Show these values. */
  show(options) {
    for (const [name, { control }] of this.#controls) {
      if (control !== document.activeElement) control.value = options[name] ?? "";
    }
  }

  /** Show the API's sentences beside the options that they name; returns those that name none. */
  complain(details) {
    for (const { control, fault } of this.#controls.values()) {
      fault.textContent = "";
      control.removeAttribute("aria-invalid");
    }
    return details.filter(({ field, message }) => {
      const found = this.#controls.get(field);
      if (!found) return true;
      found.fault.textContent = message;
      found.control.setAttribute("aria-invalid", "true");
      found.control.setAttribute("aria-errormessage", found.fault.id);
      return false;
    });
  }
}

const select = (choice, id) =>
  h("select", { id, "aria-describedby": `${id}-note` },
    choice.kind.map((value) => h("option", { value }, value)));

const input = (choice, id) =>
  h("input", { id, type: "text", autocomplete: "off", "aria-describedby": `${id}-note`,
    inputmode: choice.kind === "whole" ? "numeric" : "decimal" });

function read(text, choice) {
  if (text.trim() === "") return choice.fallback;
  return Array.isArray(choice.kind) || !Number.isFinite(Number(text)) ? text : Number(text);
}

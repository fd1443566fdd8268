/** The form of a row, made from the model's card. */

import { h } from "./dom.js";
import { cell, decimals, ends, rounded } from "./rows.js";
import { number } from "./words.js";

/** Controls for every feature; `changed(name, value)` hears of each change by the reader. */
export class RowForm {
  #fields = new Map();

  constructor(card, changed) {
    this.element = h("div", { class: "fields" }, card.features.map((feature) => {
      const make = feature.kind === "numeric" ? numeric : categorical;
      const field = make(feature, (value) => changed(feature.name, value));
      this.#fields.set(feature.name, field);
      return field.element;
    }));
  }

  /** Show the values of a row. */
  show(row) {
    for (const [name, field] of this.#fields) field.show(row[name] ?? null);
  }

  /** Show the API's sentences beside the features that they name; returns those that name none. */
  complain(details) {
    for (const field of this.#fields.values()) field.complain("");
    return details.filter(({ field, message }) => {
      const name = field.replace(/^rows?\.(0\.)?/, "");
      this.#fields.get(name)?.complain(message);
      return !this.#fields.has(name);
    });
  }
}

let count = 0;

function numeric(feature, changed) {
  const id = `feature-${(count += 1)}`;
  const [low, high] = ends(feature);
  const known = feature.range !== null;
  const step = 10 ** -decimals(feature);
  const text = h("input", {
    id, type: "text", inputmode: "decimal", autocomplete: "off", "aria-describedby": `${id}-note`,
    input: () => { settle(cell(text.value, feature)); changed(cell(text.value, feature)); },
  });
  const slider = h("input", {
    type: "range", step, min: step * Math.floor(low / step), max: step * Math.ceil(high / step),
    "aria-label": `${feature.name}, slider over the ${known ? "training range" : "usual values"}`,
    input: () => {
      const value = rounded(Number(slider.value), feature);
      text.value = value;
      settle(value, { own: true });
      changed(value);
    },
  });
  const around = h("p", { id: `${id}-note`, class: "note" });
  const range = known ? `${number(low)} to ${number(high)}` : "no training range";
  let last = rounded(feature.mean, feature); // what comes back when a value is missing no more
  const missing = mayMiss(feature, (gone) => changed(gone ? null : last));

  function settle(value, { own = false } = {}) {
    const outside = known && typeof value === "number" && (value < low || value > high);
    element.classList.toggle("outside", outside);
    around.textContent = outside ? `outside the training range, ${range}` : range;
    if (typeof value === "number" && !own) slider.value = value;
    last = value ?? last;
    missing?.show(value === null);
  }

  const element = h("div", { class: "field" },
    h("div", { class: "name" }, h("label", { for: id }, feature.name), missing?.element),
    h("div", { class: "pair" }, slider, text), around, h("p", { class: "fault", id: `${id}-fault` }));
  return field(element, [text, slider], (value) => {
    if (document.activeElement !== text || cell(text.value, feature) !== value) {
      text.value = value ?? "";
    }
    settle(value);
  });
}

function categorical(feature, changed) {
  const id = `feature-${(count += 1)}`;
  const names = feature.fill === null ? feature.categories : [...feature.categories, ""];
  const select = h("select", { id, change: () => changed(select.value === "" ? null : select.value) },
    names.map((name) => h("option", { value: name }, name || "(missing)")));
  const element = h("div", { class: "field" }, h("div", { class: "name" },
    h("label", { for: id }, feature.name)), select, h("p", { class: "fault", id: `${id}-fault` }));
  return field(element, [select], (value) => {
    const name = value ?? "";
    if (!names.includes(name)) { // a link may have a category that the model does not know
      names.push(name);
      select.append(h("option", { value: name }, `${name || "(missing)"} – unknown`));
    }
    select.value = name;
  });
}

/** A box to leave the value out, where the model fills missing values in. */
function mayMiss(feature, changed) {
  if (feature.fill === null) return null;
  const box = h("input", { type: "checkbox", change: () => changed(box.checked) });
  return {
    element: h("label", { class: "missing" }, box, " missing"),
    show: (gone) => { box.checked = gone; },
  };
}

function field(element, controls, show) {
  const fault = element.querySelector(".fault");
  return {
    element,
    show,
    complain(message) {
      fault.textContent = message;
      for (const control of controls) {
        if (message) control.setAttribute("aria-invalid", "true");
        else control.removeAttribute("aria-invalid");
        control.setAttribute("aria-errormessage", fault.id);
      }
    },
  };
}

/** Landscape: the loss over planes of the weights, with dropout. */

import { ApiError } from "../api.js";
import { h } from "../dom.js";
import { planeOf } from "../plane.js";

export const id = "landscape";
export const title = "Landscape";
export const idea = "Every mask makes a thinned network with a loss of its own. Training with dropout " +
  "descends the average of all their landscapes.";

export function mount(element, context) {
  const view = { stop() {} };
  context.run(async (signal) => {
    const answer = await stored(context, signal);
    if (answer) view.stop = show(element, answer, context);
    else element.replaceChildren(missing(context));
  });
  return () => view.stop();
}

/** The landscape that is stored beside the model; null where there is none. */
async function stored({ read, model }, signal) {
  if (model.landscape === false) return null;
  try {
    return await read("landscape", signal);
  } catch (error) {
    if (error instanceof ApiError && error.code === "no_landscape") return null;
    throw error;
  }
}

function missing({ model }) {
  return h("section", { class: "card empty" },
    h("p", {}, `The model ${model.name} has no landscape yet. This command computes one from the model's ` +
      "folder and its data, and stores it beside the model:"),
    h("pre", { tabindex: "0" }, h("code", {}, "python -m model landscape DIR DATA")),
    h("p", { class: "note" }, "Then the server has to load the model again."));
}

/** Draw the planes as tabs; returns a function that ends the film. */
function show(element, answer, { state, say }) {
  const names = answer.planes.map(({ name }) => name);
  const panel = h("div", { id: "plane", role: "tabpanel", class: "card" });
  const tabs = answer.planes.map(({ name, title: text }) => h("button", {
    type: "button", role: "tab", id: `plane-${name}`, "aria-controls": "plane",
    click: () => open(name), keydown: (event) => turn(event, name),
  }, text));
  let shown = { stop() {} };

  function open(name, own = { surface: null, frame: null }) {
    shown.stop();
    state.set({ "landscape.plane": name, "landscape.surface": own.surface, "landscape.frame": own.frame });
    tabs.forEach((tab, at) => {
      tab.setAttribute("aria-selected", String(names[at] === name));
      tab.setAttribute("tabindex", names[at] === name ? "0" : "-1");
    });
    panel.setAttribute("aria-labelledby", `plane-${name}`);
    const plane = answer.planes.find((each) => each.name === name);
    shown = planeOf(answer, plane, own, (changes) => state.set(
      Object.fromEntries(Object.entries(changes).map(([key, value]) => [`landscape.${key}`, value]))));
    panel.replaceChildren(shown.node);
  }

  function turn(event, name) {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const next = (names.indexOf(name) + by + names.length) % names.length;
    open(names[next]);
    tabs[next].focus();
  }

  const first = names.includes(state.get("landscape.plane")) ? state.get("landscape.plane") : names.at(-1);
  element.replaceChildren(
    h("p", { class: "note" }, `Loss: ${answer.loss}, over ${answer.rows} rows.`),
    h("div", { role: "tablist", class: "tabs", "aria-label": "Planes" }, tabs), panel);
  open(first, { surface: state.get("landscape.surface"), frame: state.number("landscape.frame") });
  say(`Landscape with ${names.length} planes.`);
  return () => shown.stop();
}

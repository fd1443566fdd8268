/** Where the doubt comes from: the variance by dropout layer, the std by feature. */

import { drawn } from "../canvas.js";
import { h } from "../dom.js";
import { features, layers } from "../shares.js";
import { withError } from "../words.js";

export const id = "explain";
export const title = "Where does the doubt come from";
export const idea = "The passes disagree about this row. Which layer's masks make them, and which of its values?";

const FEW = { passes: 100, background_rows: 16 }; // of a first estimate, which takes a fraction of a second

export function mount(element, context) {
  const { card, state, model } = context;
  const regression = model.task === "regression";
  const names = regression ? card.target.names : card.target.classes;
  const control = h("div", { class: "controls" });
  const body = h("div", { class: "body" });
  element.append(control, body);

  const select = h("select", { id: "explain-of", change: () => {
    state.set({ "explain.of": select.value });
    load();
  } }, names.map((name) => h("option", { value: name }, name)));

  /** Let the reader choose a target or a class, if there are several; the answer says which it is. */
  function choose(of) {
    select.value = of;
    if (names.length < 2 || control.firstChild) return;
    control.append(h("label", { class: "control" }, regression ? "Target " : "Probability of ", select));
  }

  function load() {
    context.run(async (signal) => {
      const { row, options: { seed } } = context;
      const of = names.includes(state.get("explain.of")) ? state.get("explain.of") : null;
      const passes = state.number("passes"); // unless chosen, as many as the explanation takes itself
      if (passes === null || passes > FEW.passes) {
        const first = await context.ask("+explain", { row, of, seed, ...FEW }, signal);
        choose(first.of);
        show(first, "a first estimate, more to come");
      }
      const answer = await context.ask("explain", { row, of, seed, ...(passes ? { passes } : {}) }, signal);
      choose(answer.of);
      show(answer, `${answer.passes} passes`);
      context.say([...body.querySelectorAll(".conclusion")].map((each) => each.textContent).join(" "));
    });
  }

  function show(answer, note) {
    const open = [...body.querySelectorAll("details")].map((each) => each.open);
    const name = regression ? answer.of : `the probability of ${answer.of}`;
    body.replaceChildren(
      h("dl", { class: "card tiles" },
        tile("Mean", withError(answer.mean, answer.mean_error), name),
        tile("Std over the passes", withError(answer.std, answer.std_error), note),
        tile("Variance", withError(answer.variance, answer.variance_error), "what is divided by layer")),
      layers(answer), features(answer));
    body.querySelectorAll("details").forEach((each, at) => { each.open = open[at] ?? false; });
    drawn();
  }

  context.onChange(load);
  load();
}

const tile = (name, value, note) =>
  h("div", {}, h("dt", {}, name), h("dd", {}, value, h("small", {}, note)));

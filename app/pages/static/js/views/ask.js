/** The view Ask: what the passes say about one row, and what that is worth. */

import { calm } from "../dom.js";
import { classification } from "./ask-classification.js";
import { regression } from "./ask-regression.js";

export const id = "ask";
export const title = "Ask";
export const idea =
  "Every pass asks a network with other units dropped: where the passes disagree, the model does not know.";

/** Draw into the element; see app.js. */
export function mount(element, context) {
  const shown = (context.card.target.classes.length ? classification : regression)(element, context);
  let seed = null;

  const ask = () => context.run(async (signal) => {
    const { options, row } = context;
    const answer = await context.ask("predict", { rows: [row], ...options, samples: true }, signal);
    const film = seed !== options.seed && !calm(); // once per seed: a slider should not flicker
    seed = options.seed;
    context.say(shown.show(answer, film));
  });

  context.onChange(ask);
  ask();
  return shown.end;
}

/** The views of the playground, in the order of the page. */

import * as ask from "./views/ask.js";
import * as convergence from "./views/convergence.js";
import * as explain from "./views/explain.js";
import * as landscape from "./views/landscape.js";
import * as sweep from "./views/sweep.js";

export const views = [ask, sweep, convergence, explain, landscape];

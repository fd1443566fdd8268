/** The views of the playground, in the order of the page. Each branch adds a line. */

import * as ask from "./views/ask.js";

export const views = [ask];

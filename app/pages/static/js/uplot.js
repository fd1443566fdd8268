/** Load uPlot: the library is no module, and only some views need it. It is then `uPlot`. */

import { h } from "./dom.js";

if (!globalThis.uPlot) {
  const src = new URL("../vendor/uPlot.iife.min.js", import.meta.url).href;
  await new Promise((load, error) => { document.head.append(h("script", { src, load, error })); });
}

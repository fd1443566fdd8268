/**
 * The views of the playground, in the order of the page. A view is loaded when it is shown first,
 * which keeps the page light.
 */

export const views = [
  { id: "ask", title: "Ask", load: () => import("./views/ask.js") },
  { id: "sweep", title: "Sweep", load: () => import("./views/sweep.js") },
  { id: "convergence", title: "Convergence", load: () => import("./views/convergence.js") },
  { id: "explain", title: "Where does the doubt come from", load: () => import("./views/explain.js") },
  { id: "landscape", title: "Landscape", load: () => import("./views/landscape.js") },
];

/**
 * The views of the playground, in the order of the page; each branch adds a line. A view is loaded
 * when it is shown first, which keeps the page light.
 */

export const views = [
  { id: "ask", title: "Ask", load: () => import("./views/ask.js") },
  { id: "convergence", title: "Convergence", load: () => import("./views/convergence.js") },
];

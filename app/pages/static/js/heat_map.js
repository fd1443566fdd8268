/** A surface seen from above: colour, light on its slopes and contour lines on a canvas; dots upon it. */

import { drawn } from "./canvas.js";
import { contour } from "./contours.js";
import { h } from "./dom.js";
import { svg } from "./svg.js";
import { colour } from "./scale.js";
import { number } from "./words.js";

const FINE = 6; // points that are computed per grid step
const SIDE = 720; // pixels of the picture
const LEVELS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
const LIGHT = 0.9; // of the slope, on the colour
const STEEP = 5;
const MOST_LIGHT = 0.35;

/**
 * A heat map over a plane `{x, y, x_label, y_label}` with a scale that its surfaces share.
 *
 * It answers `{node, draw(z, label), dots(list)}`; a dot is `{x, y, loss, text}`. `tell(text)` is
 * called with what the pointer or the keyboard is on.
 */
export function heatMap(plane, scale, tell) {
  const canvas = h("canvas", { role: "img" });
  const over = svg("svg", { viewBox: "0 0 100 100", "aria-hidden": "true" });
  const field = h("div", { class: "heat-field" }, canvas, over);
  let surface = [];
  over.addEventListener("pointermove", (event) => {
    if (event.target === over) tell(aboutPlace(plane, surface, event, over));
  });
  const node = h("div", { class: "heat" },
    h("span", { class: "heat-y" }, plane.y_label), marks(plane.y, "heat-y-marks"),
    field,
    marks(plane.x, "heat-x-marks"), h("span", { class: "heat-x" }, plane.x_label));
  return {
    node,
    draw(z, label) {
      surface = z;
      canvas.setAttribute("aria-label", label);
      paint(canvas, z, scale);
      drawn();
    },
    dots: (list) => place(over, plane, scale, list, tell),
  };
}

/** The loss under the pointer, in words. */
function aboutPlace(plane, z, event, over) {
  const box = over.getBoundingClientRect();
  const at = (values, share) =>
    Math.min(Math.max(Math.round(share * (values.length - 1)), 0), values.length - 1);
  const column = at(plane.x, (event.clientX - box.left) / box.width);
  const row = at(plane.y, 1 - (event.clientY - box.top) / box.height);
  return `Loss ${number(z[row][column], 3)} at ${number(plane.x[column], 2)}, ${number(plane.y[row], 2)}.`;
}

/** The bar that says which colour is which value. */
export function colourBar(scale, format, label) {
  const stops = Array.from({ length: 33 }, (_, step) => `rgb(${colour(step / 32)})`);
  const bar = h("div", { class: "colour-bar" });
  bar.style.background = `linear-gradient(to right, ${stops})`;
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) =>
    h("span", {}, format(scale.value(share))),
  );
  return h(
    "div",
    { class: "colour-scale" },
    h("span", { class: "colour-name" }, label),
    bar,
    h("div", { class: "colour-ticks" }, ...ticks),
  );
}

function marks(values, name) {
  const places = [0, 0.25, 0.5, 0.75, 1].map((share) => share * (values.length - 1));
  const text = (place) =>
    Number((values[Math.floor(place)] + values[Math.ceil(place)]) / 2).toPrecision(2);
  const spans = places.map((place) => h("span", {}, String(Number(text(place)))));
  return h("div", { class: name, "aria-hidden": "true" }, ...spans);
}

/** Paint the surface; row 0 of `z` is the lowest y, at the bottom. */
function paint(canvas, z, scale) {
  const shares = z.map((row) => Float64Array.from(row, scale.share));
  canvas.width = canvas.height = SIDE;
  const context = canvas.getContext("2d");
  context.drawImage(relief(shares), 0, 0, SIDE, SIDE);
  lines(context, shares);
}

/** The colours, with light from the upper left, on a canvas of their own. */
function relief(shares) {
  const slopes = slopesOf(shares);
  const [columns, rows] = [(shares[0].length - 1) * FINE + 1, (shares.length - 1) * FINE + 1];
  const canvas = h("canvas", { width: columns, height: rows });
  const context = canvas.getContext("2d");
  const picture = context.createImageData(columns, rows);
  for (let j = 0; j < rows; j += 1) {
    for (let i = 0; i < columns; i += 1) {
      const slope = between(slopes, i / FINE, j / FINE);
      const light = 1 + LIGHT * Math.max(Math.min(slope * STEEP, MOST_LIGHT), -MOST_LIGHT);
      const [red, green, blue] = colour(between(shares, i / FINE, j / FINE));
      const at = 4 * ((rows - 1 - j) * columns + i);
      picture.data.set([red * light, green * light, blue * light, 255], at);
    }
  }
  context.putImageData(picture, 0, 0);
  return canvas;
}

/** How steeply the surface falls towards the upper left at each grid point, per grid step. */
function slopesOf(z) {
  const rise = (row, i) => {
    const [from, to] = [Math.max(i - 1, 0), Math.min(i + 1, row.length - 1)];
    return (row[to] - row[from]) / (to - from);
  };
  return z.map((row, j) => row.map((_, i) => rise(row, i) - rise(z.map((each) => each[i]), j)));
}

/** The value between four grid points. */
function between(grid, x, y) {
  const column = Math.min(Math.floor(x), grid[0].length - 2);
  const row = Math.min(Math.floor(y), grid.length - 2);
  const [u, v] = [x - column, y - row];
  const [low, high] = [grid[row], grid[row + 1]];
  return (1 - v) * ((1 - u) * low[column] + u * low[column + 1]) +
    v * ((1 - u) * high[column] + u * high[column + 1]);
}

function lines(context, shares) {
  const [right, up] = [SIDE / (shares[0].length - 1), SIDE / (shares.length - 1)];
  context.strokeStyle = "rgb(255 255 255 / 50%)";
  context.lineWidth = 1.5;
  context.beginPath();
  for (const level of LEVELS) {
    for (const [x0, y0, x1, y1] of contour(shares, level)) {
      context.moveTo(x0 * right, SIDE - y0 * up);
      context.lineTo(x1 * right, SIDE - y1 * up);
    }
  }
  context.stroke();
}

let places = 0; // so that the dots of each map have names of their own

/** Put the dots upon the picture; one stop of the tab key, arrows go from dot to dot. */
function place(over, plane, scale, list, tell) {
  if (!list.length) return;
  const name = `dots-${(places += 1)}`;
  const nodes = list.map((dot, index) =>
    svg("circle", {
      cx: 100 * along(plane.x, dot.x),
      cy: 100 - 100 * along(plane.y, dot.y),
      r: 1.4,
      fill: `rgb(${colour(scale.share(dot.loss))})`,
      role: "option",
      id: `${name}-${index}`,
      "aria-label": dot.text,
      "aria-selected": "false",
    }),
  );
  let chosen = -1;
  const choose = (index) => {
    nodes[chosen]?.setAttribute("aria-selected", "false");
    chosen = (index + nodes.length) % nodes.length;
    nodes[chosen].setAttribute("aria-selected", "true");
    over.setAttribute("aria-activedescendant", nodes[chosen].id);
    tell(list[chosen].text);
  };
  nodes.forEach((node, index) => node.addEventListener("pointerenter", () => choose(index)));
  over.onfocus = () => choose(Math.max(chosen, 0));
  over.onkeydown = (event) => {
    const target = {
      ArrowRight: chosen + 1, ArrowDown: chosen + 1, ArrowLeft: chosen - 1, ArrowUp: chosen - 1,
      Home: 0, End: nodes.length - 1,
    }[event.key];
    if (target !== undefined) {
      event.preventDefault();
      choose(target);
    }
  };
  over.removeAttribute("aria-hidden");
  over.setAttribute("role", "listbox");
  over.setAttribute("aria-label", "Thinned networks, by arrow keys");
  over.setAttribute("tabindex", "0");
  over.append(...nodes);
}

function along(values, value) {
  return (value - values[0]) / (values[values.length - 1] - values[0]);
}

/** A row whose features are the pixels of a picture, such as "pixel_3_5": it is drawn on. */

import { h } from "./dom.js";
import { color, onTheme } from "./theme.js";
import { ends } from "./rows.js";

const CELL = 22; // CSS pixels

/** The picture, for models of pixels; null for others. `changed({name: value})` hears of strokes. */
export function picture(card, changed) {
  const places = card.features.map(({ name }) => /^(.+)_(\d+)_(\d+)$/.exec(name));
  if (card.features.length < 9 || !places.every((place) => place && place[1] === places[0][1]) ||
    card.features.some(({ kind }) => kind !== "numeric")) return null;
  const cells = card.features.map((feature, at) => {
    const [low, high] = ends(feature);
    return { name: feature.name, low, high, y: Number(places[at][2]), x: Number(places[at][3]) };
  });
  const [columns, rows] = ["x", "y"].map((axis) => 1 + Math.max(...cells.map((cell) => cell[axis])));
  const most = Math.max(...cells.map(({ high }) => high)); // one grey for the same value anywhere
  const canvas = h("canvas", { class: "picture", width: 2 * CELL * columns, height: 2 * CELL * rows,
    role: "img", "aria-label": "The row as a picture; the sliders below change its pixels" });
  let row = {};
  let ink = null; // while the pointer is down: whether it paints (or rubs out)

  function draw() {
    const ctx = canvas.getContext("2d");
    ctx.setTransform(2, 0, 0, 2, 0, 0);
    ctx.clearRect(0, 0, CELL * columns, CELL * rows);
    for (const { name, x, y } of cells) {
      ctx.globalAlpha = 1;
      ctx.fillStyle = color("line");
      ctx.fillRect(CELL * x, CELL * y, CELL - 1, CELL - 1);
      ctx.globalAlpha = Math.min(1, Math.max(0, Number(row[name]) / most || 0));
      ctx.fillStyle = color("ink");
      ctx.fillRect(CELL * x, CELL * y, CELL - 1, CELL - 1);
    }
    ctx.globalAlpha = 1;
  }

  function stroke(event) {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / box.width * columns, (event.clientY - box.top) / box.height * rows];
    const cell = cells.find((each) => each.x === Math.floor(x) && each.y === Math.floor(y));
    if (!cell) return;
    ink ??= Number(row[cell.name]) < 0.5 * cell.high;
    const value = ink ? cell.high : cell.low;
    if (row[cell.name] !== value) changed({ [cell.name]: value });
  }

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    stroke(event);
  });
  canvas.addEventListener("pointermove", (event) => ink !== null && stroke(event));
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { ink = null; });
  const still = onTheme(draw);
  return {
    element: h("figure", { class: "drawn" }, canvas, h("figcaption", { class: "note" }, "Draw on it, or rub out.")),
    show(next) {
      row = next;
      draw();
    },
    end: still,
  };
}

/** Plots by uPlot that follow the page's theme and width, each with a table under it. */

import { drawn } from "./canvas.js";
import { h, table } from "./dom.js";
import { color, onTheme } from "./theme.js";
import "./uplot.js";
import { number } from "./words.js";

const HEIGHT = 300;
const FONT = getComputedStyle(document.body).fontFamily;

/**
 * Draw lines over x; returns {element, update(columns, rows), end()}.
 *
 * `plan` has
 *   title    the name for screen readers and of the table
 *   x, y     {label, log, range, values}: as uPlot's scales and axes have them; `log` is true or not
 *   series   [{label, color, width, dash, points, bars, shift}]: `color` is a name of the style
 *            sheet; `points: "only"` draws no line; `bars` is the number of the column with the half
 *            length of error bars, and `shift` moves them and their dots by so many pixels
 *   bands    [{of: [upper, lower], color}]: the area between two series (1 is the first)
 *   draw     optional: draw(u) draws more on the canvas, after the lines
 *   hooks, cursor, scales    optional: uPlot's own
 *   head     the titles of the table's columns
 * `columns` are uPlot's: [xs, ys, ys, ...], and then the columns for `bars`; `rows` are the table's.
 */
export function plot(plan, columns, rows) {
  const place = h("div", { class: "plot", role: "img", "aria-label": plan.title });
  const under = h("div", {});
  const element = h("div", { class: "figure" }, place, legend(plan), under);
  let shown = columns;
  let fresh = true; // until it is drawn
  let u = null;

  const width = () => Math.max(220, Math.floor(place.clientWidth));
  const lines = (data) => data.slice(0, plan.series.length + 1);
  const noted = () => {
    if (fresh) drawn();
    fresh = false;
  };
  const build = () => {
    u?.destroy();
    u = new uPlot(options(plan, () => shown, width(), noted), lines(shown), place);
  };
  const tell = (numbers) => {
    const open = under.querySelector("details")?.open;
    const made = table(plan.title, plan.head, numbers);
    made.open = open ?? false;
    under.replaceChildren(made);
  };
  const watch = new ResizeObserver(() => {
    if (!u) build();
    else if (u.width !== width()) u.setSize({ width: width(), height: plan.height ?? HEIGHT });
  });
  watch.observe(place);
  const still = onTheme(() => u && build());
  tell(rows);
  return {
    element,
    get uplot() { return u; },
    update(next, numbers) {
      [shown, fresh] = [next, true];
      u?.setData(lines(next));
      tell(numbers);
    },
    end() {
      watch.disconnect();
      still();
      u?.destroy();
    },
  };
}

function options(plan, data, width, noted) {
  const axis = (part) => ({
    label: part.label, stroke: color("soft"), labelSize: 22, ...(part.size && { size: part.size }),
    labelFont: `13px ${FONT}`, font: `12px ${FONT}`,
    grid: { stroke: color("line"), width: 1 }, ticks: { stroke: color("line"), width: 1 },
    values: part.values ?? ((_, ticks) => ticks.map((tick) => (tick === null ? "" : number(tick)))),
  });
  return {
    width, height: plan.height ?? HEIGHT, legend: { show: false }, hooks: hooks(plan, data, noted),
    cursor: plan.cursor ?? { points: { size: 6 }, drag: { x: false, y: false } },
    scales: plan.scales ?? {
      x: { time: false, distr: plan.x.log ? 3 : 1, range: plan.x.range },
      y: { distr: plan.y.log ? 3 : 1, range: plan.y.range },
    },
    axes: [axis(plan.x), axis({ size: 60, ...plan.y })],
    series: [{ label: plan.x.label }, ...plan.series.map(line)],
    bands: (plan.bands ?? []).map(({ of, color: name }) => ({ series: of, fill: color(name) })),
  };
}

const line = (one) => ({
  label: one.label, stroke: color(one.color), width: one.width ?? 2, dash: one.dash,
  points: { show: Boolean(one.points) && !one.bars, size: 6, fill: color(one.color) },
  paths: one.points === "only" ? () => null : undefined, spanGaps: one.gaps ?? true,
});

function hooks(plan, data, noted) {
  const draw = [(u) => bars(u, plan, data()), ...(plan.draw ? [plan.draw] : []), noted];
  return { ...plan.hooks, draw: [...(plan.hooks?.draw ?? []), ...draw] };
}

/** Dots with error bars, from y - half to y + half. */
function bars(u, plan, data) {
  const { ctx } = u;
  plan.series.forEach((one, at) => {
    if (!one.bars) return;
    ctx.save();
    ctx.beginPath();
    ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
    ctx.clip();
    ctx.strokeStyle = ctx.fillStyle = color(one.color);
    ctx.lineWidth = 2 * devicePixelRatio;
    data[0].forEach((x, row) => {
      const [y, half] = [data[at + 1][row], data[one.bars][row]];
      if (y === null || y === undefined) return;
      const left = u.valToPos(x, "x", true) + (one.shift ?? 0) * devicePixelRatio;
      ctx.beginPath();
      ctx.moveTo(left, u.valToPos(y - (half ?? 0), "y", true));
      ctx.lineTo(left, u.valToPos(y + (half ?? 0), "y", true));
      ctx.stroke();
      ctx.beginPath();
      ctx.arc(left, u.valToPos(y, "y", true), 3.5 * devicePixelRatio, 0, 7);
      ctx.fill();
    });
    ctx.restore();
  });
}

function legend(plan) {
  const named = plan.series.filter((one) => one.label);
  return h("ul", { class: "legend" }, named.map((one) =>
    h("li", {}, swatch(one), one.label)), (plan.bands ?? []).filter(({ label }) => label).map((band) =>
    h("li", {}, swatch({ ...band, band: true }), band.label)));
}

/** A piece of the line as a small picture; its colour is a class of the style sheet. */
function swatch(one) {
  return h("span", { class: `swatch ${one.color}${one.band ? " band" : ""}${one.dash ? " dashed" : ""}${one.points ? " dot" : ""}`,
    "aria-hidden": "true" });
}

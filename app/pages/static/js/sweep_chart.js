/** The curves of a sweep, drawn by uPlot, and a query point upon them that can be dragged. */

import { drawn } from "./canvas.js";
import { h } from "./dom.js";
import { color } from "./theme.js";
import "./uplot.js";
import { number } from "./words.js";

const HEIGHT = 380;
const BOX = 14; // half the width of a category's box, in CSS pixels
const LEAP = 10; // points per press of PageUp or PageDown

/**
 * A chart of `curves` in `holder`.
 *
 * `curves` is `{x, ticks, mean, deterministic, warned, lines, std: [low, high], interval: [low,
 * high], range, name, unit}`; `ticks` holds the categories where x is an index of them. `told(index)`
 * says in words what is at a point; `chosen(index)` is called when the reader moves the query. It
 * answers `{show(part, shown), move(index), recolour(), destroy()}`.
 */
export function sweepChart(holder, curves, told, chosen) {
  const parts = seriesOf(curves);
  const shown = new Set(parts.map((part) => part.part));
  const plot = new uPlot(
    options(holder, curves, parts, shown),
    [curves.x, ...parts.map((part) => part.values)],
    holder,
  );
  const query = queryOf(plot, curves, told, chosen);
  plot.hooks.draw.push(query.place, drawn);
  const observer = new ResizeObserver(() => plot.setSize(sizeOf(holder)));
  observer.observe(holder);
  return {
    show(part, visible) {
      visible ? shown.add(part) : shown.delete(part);
      plot.batch(() =>
        parts.forEach((each, index) => {
          if (each.part === part) plot.setSeries(index + 1, { show: visible });
        }),
      );
    },
    move: query.move,
    recolour: () => plot.redraw(false, true),
    destroy() {
      observer.disconnect();
      plot.destroy();
    },
  };
}

function sizeOf(holder) {
  return { width: Math.max(holder.clientWidth, 200), height: HEIGHT };
}

/** What is drawn, from back to front; of a band's two edges, the second has the area's colour. */
function seriesOf(curves) {
  const edges = (part, [low, high], area) => [
    { part, values: low, color: null }, { part, values: high, color: null, area },
  ];
  const warned = curves.mean.map((value, index) => (curves.warned[index] ? value : null));
  return [
    ...(curves.interval ? edges("interval", curves.interval, "interval-soft") : []),
    ...edges("std", curves.std, "epistemic-soft"),
    ...curves.lines.map((values) => ({ part: "passes", values, color: "pass" })),
    { part: "deterministic", values: curves.deterministic, color: "deterministic", width: 1.5, dash: [6, 5] },
    { part: "mean", values: curves.mean, color: "mean", width: 2.5 },
    { part: "mean", values: warned, color: "bad", width: 2.5 },
  ];
}

function options(holder, curves, parts, shown) {
  const categorical = Boolean(curves.ticks);
  const series = parts.map((part) => ({
    stroke: () => (part.color ? color(part.color) : null),
    width: part.width ?? 1,
    dash: part.dash,
    points: { show: false },
    ...(categorical ? { paths: () => null } : {}),
  }));
  const bands = parts.flatMap((part, index) =>
    part.area ? [{ series: [index + 1, index], fill: () => color(part.area) }] : [],
  );
  const hooks = {
    drawClear: [(plot) => shade(plot, curves.range)],
    draw: categorical ? [(plot) => whiskers(plot, curves, shown)] : [],
  };
  return {
    ...sizeOf(holder),
    padding: [12, 12, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: false, range: (_, low, high) => (categorical ? [low - 0.5, high + 0.5] : [low, high]) } },
    axes: axes(curves),
    series: [{}, ...series],
    bands: categorical ? [] : bands,
    hooks,
  };
}

function axes(curves) {
  const look = {
    stroke: () => color("soft"),
    grid: { stroke: () => color("line"), width: 1 },
    ticks: { stroke: () => color("line"), width: 1 },
    font: "12px system-ui, sans-serif",
    labelFont: "600 12px system-ui, sans-serif",
  };
  const named = curves.ticks && {
    splits: () => curves.x,
    values: (_, places) => places.map((place) => curves.ticks[place] ?? ""),
    grid: { show: false },
  };
  return [
    { ...look, label: curves.name, labelSize: 22, ...named },
    { ...look, label: curves.unit, labelSize: 22, values: (_, ticks) => ticks.map((tick) => number(tick)), size: (plot, values) => widest(plot, values) },
  ];
}

/** The width of the axis: that of its longest label. */
function widest(plot, values) {
  const longest = Math.max(0, ...(values ?? []).map((value) => value.length));
  return 18 + longest * 7;
}

/** Shade the training range, behind everything. */
function shade(plot, range) {
  if (!range) {
    return;
  }
  const { left, top, width, height } = plot.bbox;
  const at = (value) =>
    Math.min(Math.max(plot.valToPos(value, "x", true), left), left + width);
  const [from, to] = range.map(at);
  plot.ctx.fillStyle = color("range");
  plot.ctx.fillRect(from, top, to - from, height);
}

/** For categories, which no curve joins: the std as a box, the interval as whiskers, passes as dots. */
function whiskers(plot, curves, shown) {
  const { ctx } = plot;
  const unit = devicePixelRatio;
  const at = (value) => plot.valToPos(value, "y", true);
  const marks = {
    std: (x, index) => box(ctx, x, curves.std.map((edge) => at(edge[index])), unit),
    interval: (x, index) => whisker(ctx, x, curves.interval.map((edge) => at(edge[index])), unit),
    passes: (x, index) => curves.lines.forEach((line, pass) => {
      const aside = (pass / Math.max(curves.lines.length - 1, 1) - 0.5) * 44 * unit;
      dot(ctx, x + aside, at(line[index]), 1.8 * unit, color("pass"));
    }),
    deterministic: (x, index) => {
      ctx.fillStyle = color("deterministic");
      ctx.fillRect(x - BOX * unit, at(curves.deterministic[index]) - unit, 2 * BOX * unit, 2 * unit);
    },
    mean: (x, index) =>
      dot(ctx, x, at(curves.mean[index]), 5 * unit, color(curves.warned[index] ? "bad" : "mean")),
  };
  for (const [part, mark] of Object.entries(marks)) {
    if (!shown.has(part)) continue;
    curves.x.forEach((place, index) => mark(plot.valToPos(place, "x", true), index));
  }
}

function box(ctx, x, [low, high], unit) {
  ctx.fillStyle = color("epistemic-soft");
  ctx.fillRect(x - BOX * unit, high, 2 * BOX * unit, low - high);
}

function whisker(ctx, x, [low, high], unit) {
  const cap = 9 * unit;
  ctx.strokeStyle = color("interval");
  ctx.lineWidth = 1.5 * unit;
  ctx.beginPath();
  for (const [x0, y0, x1, y1] of [
    [x, low, x, high], [x - cap, low, x + cap, low], [x - cap, high, x + cap, high],
  ]) {
    ctx.moveTo(x0, y0);
    ctx.lineTo(x1, y1);
  }
  ctx.stroke();
}

function dot(ctx, x, y, radius, colour) {
  ctx.fillStyle = colour;
  ctx.beginPath();
  ctx.arc(x, y, radius, 0, 2 * Math.PI);
  ctx.fill();
}

/** The point that is asked about: a line with a handle, moved by pointer or keyboard. */
function queryOf(plot, curves, told, chosen) {
  const last = curves.x.length - 1;
  const knob = h("span", { class: "query-knob" });
  const point = h("span", { class: "query-point" });
  const handle = h(
    "div",
    {
      class: curves.ticks ? "query among" : "query", role: "slider", tabindex: "0", "aria-label": curves.name,
      "aria-valuemin": curves.x[0], "aria-valuemax": curves.x[last],
    },
    knob,
    point,
  );
  let index = 0;
  const place = () => {
    handle.style.left = `${plot.valToPos(curves.x[index], "x")}px`;
    point.style.top = `${plot.valToPos(curves.mean[index], "y")}px`;
  };
  const move = (target) => {
    index = Math.min(Math.max(target, 0), last);
    handle.setAttribute("aria-valuenow", curves.x[index]);
    handle.setAttribute("aria-valuetext", told(index));
    handle.classList.toggle("warned", curves.warned[index]);
    place();
  };
  bind(plot, handle, () => index, (target) => {
    const before = index;
    move(target);
    if (index !== before) chosen(index);
  });
  plot.over.append(handle);
  return { place, move };
}

function bind(plot, handle, current, move) {
  const follow = (event) => {
    const left = event.clientX - plot.over.getBoundingClientRect().left;
    move(plot.posToIdx(left));
  };
  plot.over.classList.add("query-field");
  plot.over.addEventListener("pointerdown", (event) => {
    plot.over.setPointerCapture(event.pointerId);
    handle.focus({ preventScroll: true });
    follow(event);
    event.preventDefault();
  });
  plot.over.addEventListener("pointermove", (event) => {
    if (plot.over.hasPointerCapture(event.pointerId)) {
      follow(event);
    }
  });
  handle.addEventListener("keydown", (event) => {
    const target = {
      ArrowRight: current() + 1, ArrowUp: current() + 1,
      ArrowLeft: current() - 1, ArrowDown: current() - 1,
      PageUp: current() + LEAP, PageDown: current() - LEAP, Home: 0, End: plot.data[0].length - 1,
    }[event.key];
    if (target !== undefined) {
      event.preventDefault();
      move(target);
    }
  });
}

/** The six pictures of /learn, in the order of the study note: titles, sentences, plots. */

import { h } from "./dom.js";
import { surface } from "./canvas.js";
import { plot } from "./plots.js";
import { color } from "./theme.js";
import { number, percent } from "./words.js";

const HEIGHT = 240;
const SIDE = 8; // pixels of a digit's picture
const spread = (values) => {
  const mean = values.reduce((sum, each) => sum + each, 0) / values.length;
  return Math.sqrt(values.reduce((sum, each) => sum + (each - mean) ** 2, 0) / (values.length - 1));
};
const end = (lines) => spread(lines.map((line) => line.at(-1)));
const at = (lines, column) => lines.map((line) => line[column]);

/** The figures of one plot, which cannot be computed anew. */
const still = (...made) => ({ element: made.length > 1 ? h("div", { class: "pair" }, made) : made[0] });

const expectation = {
  id: "expectation",
  title: "Inverted dropout keeps the expectation",
  sentence: ({ rate, activation, scaled, unscaled }) =>
    `A unit with the activation h = ${number(activation)} becomes 0 with probability p = ${rate} and h / (1 - p) otherwise, ` +
    `so that its mean over masks stays h (here ${number(scaled.at(-1))}); without the division it would shrink to (1 - p) h (${number(unscaled.at(-1))}).`,
  draw: ({ activation, masks, scaled, unscaled }) => still(plot({
    title: "Mean of a hidden unit over masks", height: HEIGHT,
    x: { label: "masks", log: true }, y: { label: "mean of the unit" },
    scales: { x: { time: false, distr: 3, range: [1, masks.at(-1)] } },
    series: [
      { label: "h / (1 - p) where kept", color: "epistemic" },
      { label: "h where kept", color: "aleatoric" },
      { label: "h, with dropout off", color: "deterministic", dash: [6, 4] },
    ],
    head: ["masks", "with the division", "without"],
  }, [masks, scaled, unscaled, masks.map(() => activation)],
  masks.map((count, row) => [count, number(scaled[row]), number(unscaled[row])])).element),
};

/** Thin lines of passes, and a thick one. */
function curves(title, figure, lines, thin, extra = []) {
  const series = lines.map((_, row) => ({ label: row ? "" : "a pass", color: thin, width: 1 }));
  return plot({
    title, height: HEIGHT, x: { label: figure.feature }, y: { label: figure.label },
    series: [...series, ...extra.map(({ series: one }) => one)],
    scales: { x: { time: false }, y: { range: figure.range } },
    head: [figure.feature, "least of the passes", "most", ...extra.map(({ series: one }) => one.label)],
  }, [figure.values, ...lines, ...extra.map(({ data }) => data)],
  figure.values.map((value, column) => {
    const passes = at(lines, column);
    return [number(value), number(Math.min(...passes)), number(Math.max(...passes)),
      ...extra.map(({ data }) => number(data[column]))];
  })).element;
}

const noise = {
  id: "noise",
  title: "Noise on the input is the older way",
  sentence: ({ std, s, dropout, gaussian, feature }) =>
    `Bishop's way adds Gaussian noise N(0, s²) to the input and so moves the row; dropout changes the network, and beyond the training rows the networks part: ` +
    `noise that spreads as dropout does at one row (std ${number(std, 3)}, s = ${number(s, 2)}) spreads by ${number(end(gaussian), 2)} at the largest ${feature}, dropout by ${number(end(dropout), 2)}.`,
  draw: (figure) => {
    const apart = (lines) => lines.map((line) => line.map((value, column) => value - figure.off[column]));
    const [dropout, gaussian] = [apart(figure.dropout), apart(figure.gaussian)];
    const all = [...dropout, ...gaussian].flat();
    const shared = { ...figure, label: "change by the noise", range: [Math.min(...all), Math.max(...all)] };
    const off = [{ series: { label: "no noise", color: "deterministic" }, data: figure.values.map(() => 0) }];
    return still(
      h("div", {}, h("h3", {}, "Dropout"), curves("Passes with dropout", shared, dropout, "epistemic", off)),
      h("div", {}, h("h3", {}, "Gaussian noise on the input"), curves("Passes with noise on the input", shared, gaussian, "aleatoric", off)));
  },
};

const gradient = {
  id: "gradient",
  title: "A dropped unit gets no gradient",
  sentence: ({ lengths, dropped }) =>
    `Of the ${lengths.length} units of this layer the mask has dropped ${dropped.filter(Boolean).length}: the gradient of their weights is exactly 0, so each pass of training changes the thinned network only.`,
  draw: ({ lengths, dropped }) => {
    const of = (wanted) => lengths.map((length, unit) => (dropped[unit] === wanted ? length : null));
    return still(plot({
      title: "Gradient of each hidden unit's weights in one pass", height: HEIGHT,
      x: { label: "unit" }, y: { label: "length of the gradient" },
      series: [
        { label: "kept", color: "epistemic", points: "only", width: 0 },
        { label: "dropped: 0", color: "deterministic", points: "only", width: 0 },
      ],
      draw: stems(lengths),
      head: ["unit", "gradient", "mask"],
    }, [lengths.map((_, unit) => unit + 1), of(false), of(true)],
    lengths.map((length, unit) => [unit + 1, number(length), dropped[unit] ? "dropped" : "kept"])).element);
  },
};

/** A line from 0 to each point. */
const stems = (lengths) => (u) => {
  const { ctx } = u;
  ctx.save();
  ctx.strokeStyle = color("epistemic");
  ctx.lineWidth = 2 * devicePixelRatio;
  ctx.beginPath();
  lengths.forEach((length, unit) => {
    const left = u.valToPos(unit + 1, "x", true);
    ctx.moveTo(left, u.valToPos(0, "y", true));
    ctx.lineTo(left, u.valToPos(length, "y", true));
  });
  ctx.stroke();
  ctx.restore();
};

const passes = {
  id: "passes",
  title: "Off at test time it answers once; on, it answers with a spread",
  sentence: ({ off, mean, std }) =>
    `With dropout off the network says ${number(off)} each time; with dropout on every pass says something else, their mean ${number(mean)} is the prediction and their std ${number(std, 3)} its epistemic uncertainty.`,
  draw: (figure) => {
    const columns = ({ on, off, mean }) => [on.map((_, pass) => pass + 1), on, on.map(() => off), on.map(() => mean)];
    const rows = ({ on }) => on.map((value, pass) => [pass + 1, number(value)]);
    const made = plot({
      title: "One row, with dropout off and on", height: HEIGHT,
      x: { label: "pass" }, y: { label: "progression" },
      series: [
        { label: "on: a pass", color: "epistemic", points: "only", width: 0 },
        { label: "off", color: "deterministic" },
        { label: "mean of the passes", color: "mean", dash: [6, 4] },
      ],
      head: ["pass", "progression"],
    }, columns(figure), rows(figure));
    return { element: made.element, update: (next) => made.update(columns(next), rows(next)) };
  },
  live: {
    model: "diabetes",
    request: ({ row, on }) => ({ rows: [row], passes: on.length, samples: true, estimator: "plain" }),
    read: (stored, { predictions: [found] }) =>
      ({ ...stored, off: found.deterministic, on: found.samples, mean: found.mean, std: found.std }),
  },
};

const agreement = {
  id: "agreement",
  title: "Agreement of the masks is stability",
  sentence: ({ labels, agreement: shares, digits: [first, last] }) => {
    const least = shares.indexOf(Math.min(...shares));
    return `On the way from a ${first} to an ${last} all masks agree at both ends, where a small change of the picture changes nothing; ` +
      `next to the border, where the label turns to ${labels[least]}, only ${percent(shares[least])} of them agree.`;
  },
  draw: (figure) => {
    let now = figure;
    const xs = figure.rows.map((_, step) => step / (figure.rows.length - 1));
    const columns = ({ agreement: shares }) => [xs, shares];
    const rows = ({ labels, agreement: shares }) => xs.map((x, step) => [percent(x), labels[step], percent(shares[step])]);
    const made = plot({
      title: "Share of the masks that vote for the label", height: HEIGHT,
      x: { label: `way from a ${figure.digits[0]} to an ${figure.digits[1]}` }, y: { label: "agreement" },
      scales: { x: { time: false }, y: { range: [0, 1.05] } },
      series: [{ label: "masks that vote for the label", color: "epistemic", points: true }],
      head: ["way", "label", "agreement"],
    }, columns(figure), rows(figure));
    const strip = surface(`Pictures on the way from a ${figure.digits[0]} to an ${figure.digits[1]}, with their labels`, 76,
      (ctx, width) => digits(ctx, width, now));
    strip.element.classList.add("strip");
    return {
      element: h("div", {}, strip.element, made.element),
      update(next) {
        now = next;
        made.update(columns(next), rows(next));
        strip.draw();
      },
    };
  },
  live: {
    model: "digits",
    request: ({ rows }) => ({ rows, passes: 100 }),
    read: (stored, { predictions }) => ({
      ...stored,
      labels: predictions.map(({ label }) => label),
      agreement: predictions.map((each) => 1 - each.variation_ratio),
    }),
  },
};

/** Some of the pictures side by side, each above the label that the network gives. */
function digits(ctx, width, { rows, labels, features }) {
  const places = features.map((name) => name.split("_").slice(1).map(Number)); // pixel_2_3
  const count = Math.min(9, Math.floor(width / 36));
  const size = Math.min(48, Math.floor(width / count) - 8);
  for (let shown = 0; shown < count; shown += 1) {
    const step = Math.round((shown * (rows.length - 1)) / (count - 1));
    const left = (width * (shown + 0.5)) / count - size / 2;
    ctx.fillStyle = color("card");
    ctx.fillRect(left, 2, size, size);
    ctx.fillStyle = color("ink");
    places.forEach(([row, column], feature) => {
      ctx.globalAlpha = Math.min(1, rows[step][feature] / 16);
      ctx.fillRect(left + (column * size) / SIDE, 2 + (row * size) / SIDE, size / SIDE + 0.5, size / SIDE + 0.5);
    });
    ctx.globalAlpha = 1;
    ctx.textAlign = "center";
    ctx.fillText(labels[step], left + size / 2, size + 20);
  }
}

const layer = {
  id: "layer",
  title: "Chance may drop a whole layer",
  sentence: ({ dropped, units, rate }) => [
    `If all units of a layer are dropped, the row no longer reaches the output and the network answers its bias, ${number(dropped[0])}, whatever it is asked: `,
    `with p = ${rate} this happens to a layer of ${units} units once in 10`, h("sup", {}, number(-units * Math.log10(rate))),
    ` passes, to a layer of one unit once in ${number(1 / rate)}.`,
  ],
  draw: (figure) => {
    const all = [...figure.passes, figure.dropped].flat();
    const ranged = { ...figure, label: "progression", range: [Math.min(...all), Math.max(...all)] };
    const off = [{ series: { label: "the whole last layer dropped", color: "deterministic" }, data: figure.dropped }];
    return still(
      h("div", {}, h("h3", {}, `Passes over ${figure.feature}`), curves("Ordinary passes, and one without the last layer", ranged, figure.passes, "epistemic", off)),
      h("div", {}, h("h3", {}, "Probability that a layer drops"), plot({
        title: "Probability that all units of a layer are dropped", height: HEIGHT,
        x: { label: "units of the layer" }, y: { label: "probability", log: true, size: 72, values: (_, ticks) => ticks.map(power) },
        series: [{ label: `p^H with p = ${figure.rate}`, color: "deterministic", points: true }],
        head: ["units", "probability"],
      }, [figure.widths, figure.probabilities],
      figure.widths.map((width, row) => [width, number(figure.probabilities[row])])).element));
  },
};

/** A power of ten as a label; nothing for what lies between two of them. */
const power = (value) => (value && Number.isInteger(Math.log10(value)) ? `1e${Math.log10(value)}` : "");

/** In the order of the study note. */
export const lessons = [expectation, noise, gradient, passes, agreement, layer];

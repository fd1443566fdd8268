/** One plane of a landscape: its surfaces, the film of its masks, and its thinned networks. */

import { calm, h, table } from "./dom.js";
import { film } from "./film.js";
import { colourBar, heatMap } from "./heat_map.js";
import { scaleOf } from "./scale.js";
import { number, percent } from "./words.js";

const HINT = {
  place: "Point at a picture to read the loss.",
  dots: "Point at the picture to read the loss. Focus it, and the arrow keys go from dot to dot.",
};
const COARSE = 7; // rows and columns of the table of a surface

const SURFACES = {
  deterministic: {
    title: "Dropout off",
    text: "The loss of the whole network, with no unit dropped.",
  },
  average: {
    title: "Average over masks",
    text: "The loss of the thinned networks on average: what training with dropout descends.",
  },
  masks: {
    title: "One mask at a time",
    text: "Each mask has a surface of its own. Beside it, the average of the masks so far.",
  },
};

/**
 * The plane, with the surface and the frame of `chosen` ({surface, frame}); `changed` hears of
 * other choices. It answers `{node, stop()}`.
 */
export function planeOf(answer, plane, chosen, changed) {
  const masks = plane.surfaces.filter(({ name }) => name.startsWith("mask "));
  const known = ["deterministic", "average", ...(masks.length ? ["masks"] : [])]
    .filter((name) => name === "masks" || plane.surfaces.some((each) => each.name === name));
  const scales = {
    still: scaleOf(plane.surfaces.filter((each) => !masks.includes(each)).flatMap(({ z }) => z.flat())),
    film: scaleOf(masks.flatMap(({ z }) => z.flat())),
  };
  const stage = h("div", { class: "stage" });
  const about = h("p", { class: "conclusion" });
  let playing = { stop() {} };

  function show(surface, frame) {
    playing.stop();
    about.textContent = SURFACES[surface].text;
    const scale = surface === "masks" ? scales.film : scales.still;
    const readout = h("p", { class: "readout", "aria-live": "polite" }, plane.dots.length && surface !== "masks" ? HINT.dots : HINT.place);
    playing = surface === "masks"
      ? frames(stage, plane, masks, scale, readout, frame, changed)
      : still(stage, plane, surface, scale, readout);
    stage.append(h("div", { class: "beside" },
      colourBar(scale, (value) => number(value, 3), answer.loss), readout, smoothness(plane)));
  }

  const usual = known.includes("average") ? "average" : known[0];
  const first = known.includes(chosen.surface) ? chosen.surface : usual;
  const node = h("div", { class: "plane" },
    h("p", { class: "note" }, aboutPlane(plane)),
    choice(known, first, (surface) => { changed({ surface, frame: null }); show(surface, null); }),
    about, stage,
    dotTable(plane.dots), surfaceTable(plane));
  show(first, chosen.frame);
  return { node, stop: () => playing.stop() };
}

function choice(names, first, chosen) {
  return h("fieldset", { class: "choice" }, h("legend", {}, "Surface"),
    names.map((name) => h("label", {},
      h("input", { type: "radio", name: "surface", value: name, checked: name === first,
        change: () => chosen(name) }), ` ${SURFACES[name].title}`)));
}

function aboutPlane({ name, explained, explained_new: others, dots }) {
  if (name !== "masks") {
    return "Two random directions, scaled to the weights of each unit: how the loss changes around the " +
      "trained weights, which are in the middle.";
  }
  const more = typeof others === "number" ? `, and ${percent(others)} of the variance of other passes` : "";
  const share = typeof explained === "number"
    ? ` The plane has ${percent(explained)} of the variance of these ${dots.length}${more}.` : "";
  return "A pass is a place in weight space: the weights times its mask. The plane has the two directions " +
    `in which passes differ most. Each dot is the thinned network of a pass, in the colour of its own loss.${share}`;
}

function still(stage, plane, surface, scale, readout) {
  const { z } = plane.surfaces.find(({ name }) => name === surface);
  const map = drawn(plane, scale, readout, SURFACES[surface].title, z);
  stage.replaceChildren(map);
  return { stop() {} };
}

function drawn(plane, scale, readout, title, z) {
  const map = heatMap(plane, scale, (text) => (readout.textContent = text));
  map.draw(z, spoken(title, plane, z));
  map.dots(plane.dots.map((dot, at) => ({ ...dot, text: aboutDot(dot, at) })));
  return h("figure", {}, h("figcaption", {}, title), map.node);
}

/** The film: each mask's own surface, beside the average of the masks so far. */
function frames(stage, plane, masks, scale, readout, frame, changed) {
  const tell = (text) => (readout.textContent = text);
  const [own, mean] = [heatMap(plane, scale, tell), heatMap(plane, scale, tell)];
  const [ownTitle, meanTitle] = [h("figcaption", {}), h("figcaption", {})];
  const averages = running(masks.map(({ z }) => z));
  const show = (index) => {
    const titles = [`Mask ${index + 1} of ${masks.length}`, `Average of ${index + 1} ${index ? "masks" : "mask"}`];
    [ownTitle.textContent, meanTitle.textContent] = titles;
    own.draw(masks[index].z, spoken(titles[0], plane, masks[index].z));
    mean.draw(averages[index], spoken(titles[1], plane, averages[index]));
  };
  const reel = film(masks.length, {
    show,
    name: (index) => `mask ${index + 1} of ${masks.length}`,
    rests: (index) => changed({ frame: index }),
  });
  stage.replaceChildren(
    h("figure", {}, ownTitle, own.node), h("figure", {}, meanTitle, mean.node), reel.node);
  reel.go(Math.min(frame ?? 0, masks.length - 1));
  if (frame === null && !calm()) reel.play();
  return reel;
}

/** The average of the first surfaces, for each number of them. */
function running(surfaces) {
  let sum = surfaces[0].map((row) => row.map(() => 0));
  return surfaces.map((z, count) => {
    sum = sum.map((row, j) => row.map((value, i) => value + z[j][i]));
    return sum.map((row) => row.map((value) => value / (count + 1)));
  });
}

function spoken(title, plane, z) {
  const flat = z.flat();
  const [low, high] = [Math.min(...flat), Math.max(...flat)];
  const at = flat.indexOf(low);
  const [row, column] = [Math.floor(at / z[0].length), at % z[0].length];
  return `${title}: loss from ${number(low, 3)} to ${number(high, 3)}, lowest at ` +
    `${number(plane.x[column], 2)}, ${number(plane.y[row], 2)}`;
}

function aboutDot({ loss, distance, on_plane: below }, at) {
  const under = typeof below === "number" ? `, and ${number(below, 3)} where the dot is on the plane` : "";
  return `Thinned network ${at + 1}: loss ${number(loss, 3)}${under}. Its distance from the plane is ${number(distance, 3)}.`;
}

/** How rough the surfaces are, and how much smoother the average is. */
function smoothness({ roughness }) {
  const names = { deterministic: "dropout off", average: "average over masks", single: "one mask" };
  const parts = Object.entries(names).filter(([name]) => typeof roughness?.[name] === "number");
  if (!parts.length) return null;
  const ratio = roughness.single / roughness.average;
  const verdict = ratio > 0
    ? `The average over masks is ${number(ratio, 2)} times as smooth as the surface under one mask. ` : "";
  return h("p", { class: "note" }, `${verdict}Roughness (root mean square of fourth differences): ` +
    `${parts.map(([name, text]) => `${text} ${number(roughness[name], 3)}`).join(", ")}.`);
}

function dotTable(dots) {
  if (!dots.length) return null;
  return table("thinned networks", ["network", "x", "y", "loss", "loss on the plane", "distance from the plane"],
    dots.map((dot, at) => [at + 1, ...[dot.x, dot.y, dot.loss, dot.on_plane, dot.distance].map((value) => number(value, 3))]));
}

/** Every surface at a few places, for those who do not see the picture. */
function surfaceTable(plane) {
  const some = (length) => Array.from({ length: COARSE }, (_, step) =>
    Math.round((step * (length - 1)) / (COARSE - 1)));
  const shown = plane.surfaces.filter(({ name }) => !name.startsWith("mask "));
  const rows = some(plane.y.length).flatMap((j) => some(plane.x.length).map((i) =>
    [`${number(plane.x[i], 2)}, ${number(plane.y[j], 2)}`, ...shown.map(({ z }) => number(z[j][i], 3))]));
  return table("the surfaces at some places",
    ["place", ...shown.map(({ name }) => SURFACES[name]?.title ?? name)], rows);
}

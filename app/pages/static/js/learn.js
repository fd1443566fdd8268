/**
 * The page /learn: six pictures of what dropout does. A command has computed their figures with the
 * shipped models (learn.json); where the server serves the same models, two of them are asked anew.
 */

import { Api } from "./api.js";
import { h } from "./dom.js";
import { lessons } from "./lessons.js";
import { Notices } from "./notices.js";

const place = document.getElementById("lessons");
const notices = new Notices(document.getElementById("notices"), (key) => { api.key = key; ask(); });
const api = new Api(new URL("./", document.baseURI).href, (seconds, error) => notices.wait(seconds, error));
let shown = [];

async function open() {
  try {
    const stored = await api.get("static/learn.json");
    shown = lessons.map((lesson, at) => show(lesson, at, stored));
    place.replaceChildren(...shown.map(({ element }) => element));
  } catch (error) {
    notices.error(error, [], open);
    return;
  }
  await ask();
}

function show(lesson, at, stored) {
  const figure = lesson.draw(stored[lesson.id], stored);
  const said = h("p", { class: "said" }, lesson.sentence(stored[lesson.id]));
  const foot = h("p", { class: "note foot" }, lesson.live ? "Stored figures." : "");
  const element = h("section", { class: "card lesson", id: lesson.id, "aria-labelledby": `${lesson.id}-title` },
    h("h2", { id: `${lesson.id}-title` }, `${at + 1}. ${lesson.title}`), said, figure.element,
    lesson.live ? foot : null);
  return { element, said, foot, figure, lesson, stored };
}

/** Compute anew what the server can: with the models of the stored figures, and no others. */
async function ask() {
  try {
    const { models } = await api.get("models");
    notices.clear();
    const served = new Map(models.map(({ name, version }) => [name, version]));
    await Promise.all(shown.filter(({ lesson }) => lesson.live).map((each) => enliven(each, served)));
  } catch (error) {
    notices.error(error, [], ask);
  }
}

async function enliven(each, served) {
  const { lesson, stored, foot } = each;
  const { model } = lesson.live;
  if (served.get(model) !== stored.models[model]) {
    foot.replaceChildren(`Stored figures: this server does not serve the shipped model ${model}.`);
    return;
  }
  const button = h("button", { type: "button", click: () => refresh(each, undefined).catch(fail) }, "Other masks");
  await refresh(each, 1);
  foot.replaceChildren(button, h("span", { role: "status" }, `This server has just computed it, with seed ${each.seed}.`));
}

async function refresh(each, seed) {
  const { lesson, stored, figure, said, foot } = each;
  const answer = await api.post(`models/${lesson.live.model}/predict`, { ...lesson.live.request(stored[lesson.id]), seed });
  const next = lesson.live.read(stored[lesson.id], answer);
  figure.update(next);
  said.replaceChildren(...[lesson.sentence(next)].flat());
  each.seed = answer.seed;
  foot.querySelector("[role=status]")?.replaceChildren(`This server has just computed it, with seed ${answer.seed}.`);
}

const fail = (error) => notices.error(error, [], ask);

open();

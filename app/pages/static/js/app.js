/**
 * The shell of the playground: it chooses the model, the row and the options, and mounts a view.
 *
 * `views.js` lists the views: {id, title, load, offers}. `id` is the view's name in the URL
 * ("#sweep?model=..."), `title` its name on the page; `load` imports its module; `offers({model, card})`
 * is optional, and false hides the view for this model. The module, in `views/`, exports
 *
 *   id, title                as in the list
 *   idea                     one sentence: what the reader sees here
 *   mount(element, context)  draws into the empty element; may return a function that the shell
 *                            calls before it removes the element
 *
 * `context` has
 *
 *   model     the entry of `GET /models`: {name, version, task, default, ...}
 *   card      the answer of `GET /models/{name}`
 *   row       the row now: {age: 59, ...}; a getter, as is
 *   options   the options now: {seed, passes, coverage, largest_error, ...} without those left empty
 *   onChange(listener)   calls `listener` after each change of the row or the options (debounced)
 *   setRow({bmi: 30})    changes values of the row, in the form and in the URL too
 *   setOption("largest_error", 80)   the same for an option
 *   state     the values in the URL: `state.get(name)`, `state.number(name)`, `state.set({name: value})`;
 *             a view's own names begin with its id and a dot, such as "sweep.feature"
 *   run(work, channel)   runs `await work(signal)`, ends the run before it (of the same channel, if
 *                        there is one), and shows what goes wrong: an error at the field that it
 *                        names, a wait, a server that is gone
 *   ask(verb, body, signal)  the answer of `POST models/{name}/{verb}`; the copy buttons take this
 *                            request, unless `verb` begins with "+", for one of many
 *   read(verb, signal)       the same for `GET models/{name}/{verb}`
 *   api       `api.get(path, signal)`, `api.post(path, body, signal)`: paths are relative, "models"
 *   say(sentence)        tells screen readers the result
 *
 * A view draws with `h` and `table` of dom.js, `plot` of plots.js and `color` of theme.js. HTML
 * strings with `style` or `on...` are refused by the page's content policy.
 */

import { Api, ServerGone } from "./api.js";
import { changed as noteChange } from "./canvas.js";
import { h } from "./dom.js";
import { Notices } from "./notices.js";
import { readOptions } from "./options.js";
import { exampleRow, readRow, written } from "./rows.js";
import { Side } from "./side.js";
import { State } from "./state.js";
import { views } from "./views.js";

const DEBOUNCE_MS = 60;
const SAID_MS = 700; // a slider that moves should not talk all the time

const state = new State();
const find = (id) => document.getElementById(id);
const api = new Api(new URL(".", document.baseURI), (seconds, error) => notices.wait(seconds, error));
const panel = frame();
const notices = new Notices(panel.notices, (key) => { api.key = key; open(); });
const cards = new Map();

let models = [];
let page = null; // the model that is shown, with its row, options and view

/** The parts of the answer's section that all views share. */
function frame() {
  const parts = {
    title: h("h1", {}), idea: h("p", { class: "idea" }),
    notices: h("div", { class: "notices" }), body: h("div", { class: "body" }),
  };
  find("view").append(h("div", { class: "head" }, parts.title, parts.idea), parts.notices, parts.body);
  return parts;
}

/** Show what the URL says: load the models, the card and the view where they are not known yet. */
function open() {
  work(async (signal) => {
    if (broken) {
      await api.get("models", signal); // the server is back
      return location.reload();
    }
    if (!models.length) await loadModels(signal);
    const name = state.get("model") ?? models.find((model) => model.default)?.name;
    if (!cards.has(name)) cards.set(name, await api.get(`models/${encodeURIComponent(name)}`, signal));
    const [model, card] = [models.find((entry) => entry.name === name) ?? { name }, cards.get(name)];
    const offered = views.filter((view) => view.offers?.({ model, card }) ?? true);
    const view = await loaded(offered.find(({ id }) => id === state.view) ?? offered[0], signal);
    leave();
    if (page?.model !== model) show(model, card);
    else again();
    mount(view, offered);
  });
}

let broken = false; // whether a module could not be loaded: a browser may not try that again

async function loaded(view, signal) {
  try {
    const module = await view.load();
    signal.throwIfAborted();
    return module;
  } catch (error) {
    signal.throwIfAborted();
    broken = true;
    throw new ServerGone("The server does not answer.", { cause: error });
  }
}

async function loadModels(signal) {
  ({ models } = await api.get("models", signal));
  find("model").replaceChildren(...models.map(({ name, task }) =>
    h("option", { value: name }, `${name} (${task})`)));
  find("model").disabled = false;
}

/** Show another model, with the row and the options of the URL. */
function show(model, card) {
  page?.side.end();
  page = { model, card, listeners: [] };
  find("model").value = model.name;
  page.side = new Side(card, {
    row: (values) => setRow(values), option: setOption, link: () => location.href,
    request: () => page.request, withKey: () => api.hasKey,
  });
  find("side").replaceChildren(page.side.element);
  again();
}

/** Read the row and the options from the URL. */
function again() {
  page.row = readRow(page.card, state.list("row")) ?? exampleRow(page.card);
  page.options = readOptions(page.card, state);
  page.side.show(page.row, page.options);
  state.set({ model: page.model.name, row: written(page.card, page.row) });
}

/** Mount a view. */
function mount(view, offered) {
  Object.assign(page, { listeners: [], request: null });
  state.view = view.id;
  state.write();
  panel.title.textContent = view.title;
  panel.idea.textContent = view.idea;
  document.title = `${view.title} – ${page.model.name} – MC dropout`;
  links(offered);
  const body = h("div", { class: `body ${view.id}` });
  panel.body.replaceWith(body);
  panel.body = body;
  page.leave = view.mount(body, contextOf(page));
}

/** The links to the views, with the present state. */
function links(offered) {
  const now = (id) => (id === state.view ? "page" : null);
  find("views").replaceChildren(...offered.map(({ id, title }) =>
    h("a", { href: state.hash(id), "aria-current": now(id), "data-view": id }, title)));
}

/** What a view gets; see the head of this module. */
function contextOf(shown) {
  const path = (verb) => `models/${encodeURIComponent(shown.model.name)}/${verb}`;
  return {
    model: shown.model, card: shown.card, state, api, setRow, run: work, say,
    setOption: (name, value) => setOption(name, value, null),
    get row() { return { ...shown.row }; },
    get options() {
      const chosen = Object.entries(shown.options);
      return Object.fromEntries(chosen.filter(([, value]) => value !== null && value !== ""));
    },
    onChange: (listener) => shown.listeners.push(listener),
    ask: (verb, body, signal) => {
      const [, quiet, name] = /^(\+?)(.*)$/.exec(verb);
      if (!quiet) shown.request = { url: api.url(path(name)), body };
      return api.post(path(name), body, signal);
    },
    read: (verb, signal) => {
      shown.request = { url: api.url(path(verb)) };
      return api.get(path(verb), signal);
    },
  };
}

function setRow(values) {
  Object.assign(page.row, values);
  changed({ row: written(page.card, page.row) });
}

function setOption(name, value, fallback) {
  page.options[name] = value;
  changed({ [name]: value === fallback ? null : value });
}

let timer = null;

/** Write a change into the URL, and tell the view a moment later. */
function changed(values) {
  noteChange();
  state.set(values);
  page.side.show(page.row, page.options);
  clearTimeout(timer);
  timer = setTimeout(() => page.listeners.forEach((listener) => listener()), DEBOUNCE_MS);
}

const running = new Map(); // by channel

/** Do a piece of work; the next one of its channel ends it. Errors stand above and at their fields. */
async function work(task, channel = "view") {
  running.get(channel)?.abort();
  const own = new AbortController();
  running.set(channel, own);
  find("view").setAttribute("aria-busy", "true");
  try {
    await task(own.signal);
    if (running.get(channel) !== own) return;
    if (notices.clear(channel)) page?.side.complain([]);
  } catch (error) {
    if (own.signal.aborted || running.get(channel) !== own) return;
    const left = page?.side.complain(error.details ?? []) ?? error.details;
    notices.error(error, left, () => work(task, channel), channel);
  } finally {
    if (running.get(channel) === own) running.delete(channel);
    if (!running.size) find("view").removeAttribute("aria-busy");
  }
}

/** End all work of a view that goes. */
function leave() {
  notices.clear();
  for (const each of running.values()) each.abort();
  running.clear();
  page?.leave?.();
  if (page) page.leave = null;
}

let talk = null;

function say(sentence) {
  clearTimeout(talk);
  talk = setTimeout(() => { find("said").textContent = sentence; }, SAID_MS);
}

for (const kind of ["pointerover", "focusin", "click"]) { // before a link is followed: the present state
  find("views").addEventListener(kind, ({ target }) => {
    if (target.dataset.view) target.setAttribute("href", state.hash(target.dataset.view));
  });
}
find("model").addEventListener("change", (event) => {
  state.keep("seed", "coverage"); // the rest is of the other model
  state.set({ model: event.target.value });
  state.write({ step: true });
  open();
});
addEventListener("hashchange", () => { // a link, the history, or another URL
  state.read();
  open();
});
open();

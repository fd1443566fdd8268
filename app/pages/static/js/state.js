/**
 * The state of the page, kept behind the '#' of its URL, so that every experiment is a link:
 * "#sweep?model=diabetes&row=59,2,32.1&seed=1". Browsers do not send that part to the server.
 */

const WAIT_MS = 200; // browsers refuse many changes of the URL a second

/** The state of a page. */
export class State {
  #timer = null;
  #values = new Map();
  #hash = ""; // what the URL had when it was last read or written

  constructor() {
    this.view = "";
    this.read();
  }

  /** Read the URL again. */
  read() {
    clearTimeout(this.#timer);
    this.#hash = location.hash;
    const [view, query = ""] = location.hash.slice(1).split("?");
    this.view = view;
    this.#values = new Map(query.split("&").filter(Boolean).map((part) => {
      const at = `${part}=`.indexOf("=");
      return [decoded(part.slice(0, at)), part.slice(at + 1)];
    }));
  }

  /** The text under a name, or null. */
  get(name) {
    return this.#values.has(name) ? decoded(this.#values.get(name)) : null;
  }

  /** The number under a name, or null. */
  number(name) {
    const text = this.get(name);
    return text?.trim() && Number.isFinite(Number(text)) ? Number(text) : null;
  }

  /** The texts of a list under a name, or null. */
  list(name) {
    return this.#values.has(name) ? this.#values.get(name).split(",").map(decoded) : null;
  }

  /** Change values; null takes one away, and a list is written with commas. */
  set(changes) {
    for (const [name, value] of Object.entries(changes)) {
      const gone = value === null || value === undefined || value === "";
      if (gone) this.#values.delete(name);
      else this.#values.set(name, [value].flat().map((each) => encoded(each ?? "")).join(","));
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      // The reader may have followed a link, of which the page is not told yet: the link counts.
      if (location.hash === this.#hash) this.write();
    }, WAIT_MS);
  }

  /** Take all values away but these. */
  keep(...names) {
    for (const name of [...this.#values.keys()]) if (!names.includes(name)) this.#values.delete(name);
  }

  /** Write the present state into the URL at once; `step` makes it a step of the history. */
  write({ step = false } = {}) {
    clearTimeout(this.#timer);
    if (this.hash() === location.hash) return;
    history[step ? "pushState" : "replaceState"](null, "", this.hash());
    this.#hash = location.hash;
  }

  /** What stands behind the page's address, for this view or another one. */
  hash(view = this.view) {
    const parts = [...this.#values].map(([name, value]) => `${encoded(name)}=${value}`);
    return `#${view}${parts.length ? `?${parts.join("&")}` : ""}`;
  }
}

/** encodeURIComponent, but for the marks that are readable and safe behind a '#'. */
const encoded = (text) =>
  encodeURIComponent(text).replace(/%(3A|20|2F)/g, (mark) => ({ "%3A": ":", "%20": "+", "%2F": "/" })[mark]);

function decoded(text) {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return ""; // somebody has cut the link
  }
}

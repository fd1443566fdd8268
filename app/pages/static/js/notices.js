/** What stands above the answer: an error, a wait, a missing key, a server that is gone. */

import { ApiError, ServerGone } from "./api.js";
import { h } from "./dom.js";

const AGAIN_SECONDS = 3;

/** The notices of a page, in `element`. `keyed(key)` gets a key that was typed in. */
export class Notices {
  #element;
  #timer = null;
  #channel = null; // of the work that the notice is about

  constructor(element, keyed) {
    this.#element = element;
    this.keyed = keyed;
  }

  /** Take the notice away, unless it is about the work of another channel; whether that was done. */
  clear(channel = this.#channel) {
    if (this.#channel !== null && channel !== this.#channel) return false;
    clearTimeout(this.#timer);
    this.#channel = null;
    this.#element.replaceChildren();
    return true;
  }

  /** Show an error; `details` are those that no field shows; `again` does the work once more. */
  error(error, details, again, channel) {
    this.clear();
    this.#channel = channel;
    if (error instanceof ServerGone) return this.#gone(error, again);
    if (!(error instanceof ApiError)) return this.#show("bad", "The page has failed", error.message);
    if (error.status === 401) return this.#key(error);
    const more = details.filter(({ message }) => !error.message.includes(message));
    return this.#show("bad", title(error), sentence(error.message),
      more.length ? h("ul", {}, more.map((each) => h("li", {}, `${each.field}: ${each.message}`))) : null);
  }

  /** Count the seconds down until the request is sent again; 0 ends that. */
  wait(seconds, error) {
    this.clear();
    if (seconds <= 0) return;
    const title = error.status === 429 ? "The server has much to do" : "The server is not ready";
    const rest = `Trying again in ${Math.ceil(seconds)} s.`;
    this.#show("wait", title, `${sentence(error.message)} ${rest}`);
    this.#timer = setTimeout(() => this.wait(seconds - 1, error), 1000);
  }

  #gone(error, again) {
    const retry = () => { this.clear(); again(); };
    this.#show("wait", "The server is gone", `${error.message} Trying again every ${AGAIN_SECONDS} s.`,
      h("button", { type: "button", click: retry }, "Try now"));
    this.#timer = setTimeout(retry, 1000 * AGAIN_SECONDS);
  }

  #key(error) {
    const input = h("input", { id: "key", type: "password", autocomplete: "off", required: true });
    const form = h("form", { class: "key", submit: (event) => {
      event.preventDefault();
      this.clear();
      this.keyed(input.value);
    } }, h("label", { for: "key" }, "API key "), input, h("button", {}, "Use it"),
    h("p", { class: "note" }, "It stays in this page's memory: not in the URL, not on the disk."));
    this.#show("wait", "The service needs a key", sentence(error.message), form);
  }

  #show(kind, title, text, ...more) {
    this.#element.replaceChildren(
      h("div", { class: `notice ${kind}`, role: "alert" }, h("strong", {}, title), h("p", {}, text), more));
  }
}

const title = (error) =>
  error.status === 404 ? "Not here" : error.status < 500 ? "The service refuses this" : "The service failed";

/** The API's own sentence, with a capital letter and a full stop; there is one row only. */
function sentence(text) {
  const said = text.replace(/^rows?(\.0)?: /, "");
  return `${said.charAt(0).toUpperCase()}${said.slice(1)}`.replace(/([^.!?])$/, "$1.");
}

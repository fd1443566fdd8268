/** The side of the page: the row, the options, and the buttons that copy. */

import { curl, python } from "./copy.js";
import { h } from "./dom.js";
import { RowForm } from "./form.js";
import { choices, OptionForm } from "./options.js";
import { picture } from "./pixels.js";
import { exampleRow, randomRow } from "./rows.js";

const WIDE = matchMedia("(min-width: 54rem)");

/** The side for a card. `on` has what it needs of the shell. */
export class Side {
  constructor(card, on) {
    let example = 0;
    const fallbacks = new Map(choices(card).map(({ name, fallback }) => [name, fallback]));
    this.picture = picture(card, on.row);
    this.row = new RowForm(card, (name, value) => on.row({ [name]: value }));
    this.options = new OptionForm(card, (name, value) => on.option(name, value, fallbacks.get(name)));
    const button = (id, text, click) => h("button", { id, type: "button", click }, text);
    this.said = h("span", { class: "copied", role: "status" });
    const copy = (id, text, make) => button(id, text, () => this.#copy(text, make()));
    const asked = (write) => () => {
      const { url, body } = on.request() ?? {};
      return url && write(url, body, on.withKey());
    };
    this.element = h("div", {},
      h("details", { class: "card", open: WIDE.matches }, h("summary", {}, h("h2", {}, "The row")),
        h("div", { class: "buttons" },
          button("example", "Example", () => on.row(exampleRow(card, (example += 1)))),
          button("random", "Random", () => on.row(randomRow(card)))),
        this.picture?.element, this.row.element),
      h("details", { class: "card", open: WIDE.matches }, h("summary", {}, h("h2", {}, "Options")),
        this.options.element),
      h("section", { class: "card copy" }, h("h2", {}, "Take it with you"),
        h("div", { class: "buttons" }, copy("copy-link", "Copy link", on.link),
          copy("copy-curl", "Copy curl", asked(curl)),
          copy("copy-python", "Copy Python", asked(python))), this.said));
  }

  /** Show the row and the options. */
  show(row, options) {
    this.row.show(row);
    this.picture?.show(row);
    this.options.show(options);
  }

  /** Show sentences beside the fields that they name; returns the others. */
  complain(details) {
    const others = this.options.complain(this.row.complain(details));
    for (const fault of this.element.querySelectorAll(".fault:not(:empty)")) {
      fault.closest("details").open = true;
    }
    return others;
  }

  /** End what outlives the element. */
  end() {
    this.picture?.end();
  }

  async #copy(what, text) {
    if (!text) return;
    try {
      await navigator.clipboard.writeText(text);
      this.said.textContent = `${what.replace("Copy ", "")} copied`;
    } catch { // no permission, or the page is not from https or localhost
      const area = h("textarea", { readonly: true, rows: "6", "aria-label": what }, text);
      this.said.replaceChildren(area);
      area.select();
    }
  }
}

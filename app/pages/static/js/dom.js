/** Elements without HTML strings: the content policy takes no style attribute and no handler. */

/**
 * A new element. `properties` are its attributes; functions are listeners of the event of that
 * name; true is an attribute without a value; null and false are left out.
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== false && value !== undefined) {
      element.setAttribute(name, value);
    }
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined));
  return element;
}

/** A table behind a summary, for those who read numbers better than pictures. */
export function table(title, head, rows) {
  const cell = (tag, value, scope = null) => h(tag, { scope }, String(value));
  return h("details", { class: "table" }, h("summary", {}, `Table: ${title}`),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title },
      h("table", {}, h("caption", { class: "unseen" }, title),
        h("thead", {}, h("tr", {}, head.map((name) => cell("th", name, "col")))),
        h("tbody", {}, rows.map(([first, ...rest]) =>
          h("tr", {}, cell("th", first, "row"), rest.map((value) => cell("td", value))))))));
}

/** Whether the reader has asked for little motion. */
export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Elements of SVG, without strings of it. */

const SVG = "http://www.w3.org/2000/svg";

/** A new element with these attributes and children. */
export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

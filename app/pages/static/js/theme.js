/** Dark or light: as the system has it, until the reader presses the button. */

const NAME = "mcd-theme";
const root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)");

/** Whether the page is dark now. */
export const dark = () => (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";

/** The colour of a name in the style sheet, as canvas takes it, in the present theme. */
export function color(name) {
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

/** Call `listener` after each change of the theme; returns a function that ends that. */
export function onTheme(listener) {
  addEventListener("mcd-theme", listener);
  return () => removeEventListener("mcd-theme", listener);
}

function kept() {
  try {
    return localStorage.getItem(NAME);
  } catch {
    return null; // the browser keeps nothing for this page
  }
}

function keep(theme) {
  try {
    localStorage.setItem(NAME, theme);
  } catch {
    // the theme lasts as long as the page
  }
}

function show() {
  const button = document.getElementById("theme");
  if (button) button.textContent = dark() ? "Light" : "Dark";
  if (button) button.setAttribute("aria-label", dark() ? "Light theme" : "Dark theme");
  dispatchEvent(new Event("mcd-theme"));
}

const probe = document.createElement("span");
probe.hidden = true;
document.body.append(probe);
if (["dark", "light"].includes(kept())) root.dataset.theme = kept();
system.addEventListener("change", show);
document.getElementById("theme")?.addEventListener("click", () => {
  root.dataset.theme = dark() ? "light" : "dark";
  keep(root.dataset.theme);
  show();
});
show();

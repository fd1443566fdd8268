/** Play, pause and step through the frames of a film. */

import { calm, h } from "./dom.js";

const FRAME_MS = 350;
const CALM_FRAME_MS = 1200; // for readers who ask for little motion, and press Play nevertheless

/**
 * Controls for `count` frames. `show(index)` draws one; `name(index)` says which it is; `rests(index)`
 * hears where the film stands still.
 *
 * It answers `{node, go(index), play(), stop()}`.
 */
export function film(count, { show, name, rests }) {
  let index = 0;
  let timer = null;
  const slider = h("input", {
    type: "range", min: 0, max: count - 1, value: 0, "aria-label": "Frame",
    input: () => rest(Number(slider.value)),
  });
  const button = h("button", { type: "button", class: "film-play", click: () => (timer ? rest(index) : play()) });
  const step = (by, label, text) =>
    h("button", { type: "button", "aria-label": label, click: () => rest(index + by) }, text);

  function go(target) {
    index = (target + count) % count;
    slider.value = index;
    slider.setAttribute("aria-valuetext", name(index));
    show(index);
  }

  function rest(target) {
    stop();
    go(target);
    rests(index);
  }

  function play() {
    clearInterval(timer);
    timer = setInterval(() => go(index + 1), calm() ? CALM_FRAME_MS : FRAME_MS);
    button.textContent = "Pause";
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    button.textContent = "Play";
  }

  stop();
  const node = h("div", { class: "film", role: "group", "aria-label": "Film" }, button,
    step(-1, "Previous frame", "‹"), slider, step(1, "Next frame", "›"));
  return { node, go, play, stop };
}

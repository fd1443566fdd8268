// Draws the surfaces of each plane in bands of colour, plays the film, and reads a point out.
"use strict";

const page = JSON.parse(document.getElementById("data").textContent);
const HOLD_MS = 700, FADE_MS = 500, STILL_MS = 1400, LINE = 0.8, DOT = 4.5;
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const colours = page.palette.map(([r, g, b]) => [r, g, b]);
const css = ([r, g, b]) => `rgb(${r} ${g} ${b})`;
const short = value => Number(value.toPrecision(4)).toLocaleString("en", {maximumSignificantDigits: 4});

function mount(plane) {
  const figure = document.getElementById(plane.name);
  const find = selector => figure.querySelector(selector);
  const canvas = find("canvas"), pen = canvas.getContext("2d");
  const byName = Object.fromEntries(plane.surfaces.map(each => [each.name, each.z]));
  const masks = plane.surfaces.filter(each => each.name.startsWith("mask "));
  const reach = plane.x[plane.x.length - 1], last = plane.x.length - 1;
  const whole = Math.log1p((plane.scale.high - plane.scale.low) / plane.scale.unit);
  const state = {view: "deterministic", frame: 0, part: 0, playing: false, since: 0, point: null};

  function share(loss) {
    const above = Math.max(loss - plane.scale.low, 0) / plane.scale.unit;
    return Math.min(Math.log1p(above) / whole, 1);
  }
  const band = loss => Math.min(Math.floor(share(loss) * colours.length), colours.length - 1);

  function surface() {
    if (state.view !== "film") return byName[state.view];
    const now = masks[state.frame].z;
    if (!state.part) return now;
    const next = masks[(state.frame + 1) % masks.length].z, part = state.part;
    return now.map((row, i) => row.map((value, j) => value * (1 - part) + next[i][j] * part));
  }

  function between(z, x, y) {  // x and y from 0 to last
    const j = Math.min(Math.floor(x), last - 1), i = Math.min(Math.floor(y), last - 1);
    const right = x - j, up = y - i;
    return (z[i][j] * (1 - right) + z[i][j + 1] * right) * (1 - up)
      + (z[i + 1][j] * (1 - right) + z[i + 1][j + 1] * right) * up;
  }

  function draw() {
    const size = canvas.width, z = surface(), image = pen.createImageData(size, size);
    let above = new Int8Array(size).fill(-1);
    for (let row = 0; row < size; row++) {
      const bands = new Int8Array(size), y = last * (1 - row / (size - 1));
      for (let column = 0; column < size; column++) {
        const found = bands[column] = band(between(z, last * column / (size - 1), y));
        const border = column && bands[column - 1] !== found
          || above[column] >= 0 && above[column] !== found;
        const [r, g, b] = colours[found], shade = border ? LINE : 1, at = 4 * (row * size + column);
        image.data[at] = r * shade; image.data[at + 1] = g * shade; image.data[at + 2] = b * shade;
        image.data[at + 3] = 255;
      }
      above = bands;
    }
    pen.putImageData(image, 0, 0);
    drawDots(size);
    if (state.point) cross(size);
    tell(z);
  }

  function drawDots(size) {
    const scale = size / canvas.clientWidth || 1, dots = find(".dots")?.checked ? plane.dots : [];
    const shown = state.view === "film" ? state.frame : -1;
    dots.forEach((dot, at) => ring(dot.x, dot.y, DOT, css(colours[band(dot.loss)]), "#fff", 1));
    if (dots[shown]) ring(dots[shown].x, dots[shown].y, DOT + 3, null, "#d14310", 3);
    ring(0, 0, 3.5, "#d14310", "#fff", 1);

    function ring(x, y, radius, fill, line, width) {
      pen.beginPath();
      pen.arc(...place(x, y, size), radius * scale, 0, 7);
      pen.lineWidth = width * scale;
      if (fill) { pen.fillStyle = fill; pen.fill(); }
      pen.strokeStyle = line;
      pen.stroke();
    }
  }

  const place = (x, y, size) => [(1 + x / reach) * size / 2, (1 - y / reach) * size / 2];

  function cross(size) {
    const [x, y] = place(...state.point, size), dash = size / 60;
    pen.setLineDash([dash, dash]);
    pen.lineWidth = size / 300;
    pen.strokeStyle = "#d14310";
    pen.beginPath();
    pen.moveTo(x, 0); pen.lineTo(x, size); pen.moveTo(0, y); pen.lineTo(size, y);
    pen.stroke();
    pen.setLineDash([]);
  }

  function tell(z) {
    const [x, y] = state.point || [0, 0], half = last / 2;
    const loss = between(z, half * (1 + x / reach), half * (1 + y / reach));
    const where = state.point ? `x ${x.toFixed(2)}, y ${y.toFixed(2)}` : "trained weights";
    const near = state.point && find(".dots")?.checked ? nearest(x, y) : null;
    const dot = near ? ` · thinned network beside it: loss ${short(near.loss)}, ${
      near.distance.toFixed(2)} from the plane` : "";
    find(".readout").textContent = `${where}: loss ${short(loss)}${dot}`;
    if (masks.length) {
      const shown = state.view === "film";
      find(".film output").textContent = shown ? `mask ${state.frame + 1} of ${masks.length}` : "";
    }
  }

  function nearest(x, y) {
    const far = dot => Math.hypot(dot.x - x, dot.y - y);
    const found = plane.dots.reduce((a, b) => a && far(a) <= far(b) ? a : b, null);
    return found && far(found) < reach * 0.04 ? found : null;
  }

  function showFilm() {  // whether it was not shown
    const before = state.view;
    state.view = "film";
    find("input[value=film]").checked = true;
    return before !== "film";
  }

  function step(by) {
    state.frame = (state.frame + by + masks.length) % masks.length;
    state.part = 0;
    draw();
  }

  function play(on) {
    state.playing = on;
    state.since = performance.now();
    state.part = 0;
    const button = find(".play");
    if (button) button.textContent = on ? "Pause" : "Play";
    if (on) requestAnimationFrame(tick);
    draw();
  }

  function tick(now) {
    if (!state.playing) return;
    const gone = now - state.since, length = calm.matches ? STILL_MS : HOLD_MS + FADE_MS;
    if (gone >= length) {
      state.since = now;
      step(1);
    } else if (!calm.matches && gone > HOLD_MS) {
      state.part = (gone - HOLD_MS) / FADE_MS;
      draw();
    }
    requestAnimationFrame(tick);
  }

  function fit() {
    const size = Math.round(Math.min(canvas.clientWidth * Math.min(devicePixelRatio, 2), 900));
    if (size > 1 && size !== canvas.width) { canvas.width = canvas.height = size; draw(); }
  }

  for (const radio of figure.querySelectorAll("input[type=radio]")) {
    radio.addEventListener("change", () => {
      state.view = radio.value;
      play(false);
    });
  }
  find(".dots")?.addEventListener("change", draw);
  find(".play")?.addEventListener("click", () => { showFilm(); play(!state.playing); });
  find(".back")?.addEventListener("click", () => { play(false); step(showFilm() ? 0 : -1); });
  find(".next")?.addEventListener("click", () => { play(false); step(showFilm() ? 0 : 1); });
  canvas.addEventListener("pointermove", event => {
    const box = canvas.getBoundingClientRect();
    const part = (at, from, length) => Math.max(-1, Math.min(1, 2 * (at - from) / length - 1));
    state.point = [reach * part(event.clientX, box.left, box.width),
      -reach * part(event.clientY, box.top, box.height)];
    draw();
  });
  canvas.addEventListener("pointerleave", () => { state.point = null; draw(); });
  canvas.addEventListener("keydown", event => {
    const moves = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]};
    const move = moves[event.key];
    if (!move && event.key !== "Escape") return;
    event.preventDefault();
    const near = (value, by) => Math.max(-reach, Math.min(reach, value + by * reach / 30));
    const [x, y] = state.point || [0, 0];
    state.point = move ? [near(x, move[0]), near(y, move[1])] : null;
    draw();
  });
  new ResizeObserver(fit).observe(canvas);
  fit();
}

page.planes.forEach(mount);

import { ask, element, picture, watchHealth } from "./common.js";
import { filterQuery } from "./filters.js";

watchHealth();

// Ten colours that differ in lightness as well; on the plate of either theme.
const COLOURS = ["#1f77b4", "#d95f02", "#2a9d4b", "#d62728", "#8e63c7", "#a0674b", "#d64fa8", "#7d7d7d", "#b8a800", "#11a5b5"];
const SMALLEST_PX = 5;
const HIT_PX = 11;
const STEP = 1.4;
const canvas = document.getElementById("map");
const pen = canvas.getContext("2d");
const chosen = document.getElementById("chosen");
const hidden = new Set();
let categories = [];
let frames = []; // large ones first, so that small ones lie on top
let byTime = [];
let here = null; // the newest frame: where the stage is now, as far as the ledger knows
let selected = null;
let view = { x: 0, y: 0, scale: 1 }; // µm at the middle, pixels per µm
let awaited = false;

const shown = (frame) => !hidden.has(frame.category);
const toScreen = ([x, y]) => [canvas.clientWidth / 2 + (x - view.x) * view.scale, canvas.clientHeight / 2 - (y - view.y) * view.scale];
const toStage = (px, py) => [view.x + (px - canvas.clientWidth / 2) / view.scale, view.y - (py - canvas.clientHeight / 2) / view.scale];

function draw() {
  awaited = false;
  const ratio = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
  if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  const style = getComputedStyle(document.documentElement);
  const hitColour = style.getPropertyValue("--hit");
  const ink = style.getPropertyValue("--ink");
  const hits = [];
  for (const frame of frames) {
    if (!shown(frame)) continue;
    const path = outline(frame);
    if (!path) continue;
    const colour = COLOURS[frame.category] || ink;
    pen.globalAlpha = 0.3;
    pen.fillStyle = colour;
    pen.fill(path);
    pen.globalAlpha = 1;
    pen.strokeStyle = colour;
    pen.lineWidth = 1;
    pen.stroke(path);
    if (frame.hit) hits.push(frame);
  }
  pen.strokeStyle = hitColour;
  pen.lineWidth = 3;
  for (const frame of hits) pen.stroke(outline(frame, HIT_PX));
  if (here) crosshair(toScreen(here.centre), ink);
  if (selected) {
    const path = outline(selected, HIT_PX + 4);
    pen.strokeStyle = ink;
    pen.lineWidth = 4;
    if (path) pen.stroke(path);
  }
  scaleBar(width);
}

function outline(frame, smallest = SMALLEST_PX) {
  const [x, y] = toScreen(frame.centre);
  const reach = (frame.size * view.scale) / 2;
  if (x + reach < -smallest || y + reach < -smallest || x - reach > canvas.clientWidth + smallest || y - reach > canvas.clientHeight + smallest) return null;
  const path = new Path2D();
  if (reach * 2 < smallest) {
    path.rect(x - smallest / 2, y - smallest / 2, smallest, smallest);
    return path;
  }
  frame.corners.forEach((corner, at) => path[at ? "lineTo" : "moveTo"](...toScreen(corner)));
  path.closePath();
  return path;
}

function crosshair([x, y], colour) {
  pen.strokeStyle = colour;
  pen.lineWidth = 2;
  pen.beginPath();
  pen.arc(x, y, 9, 0, 2 * Math.PI);
  for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
    pen.moveTo(x + 5 * dx, y + 5 * dy);
    pen.lineTo(x + 15 * dx, y + 15 * dy);
  }
  pen.stroke();
}

function scaleBar(width) {
  const longest = (width * 0.25) / view.scale;
  const power = 10 ** Math.floor(Math.log10(longest));
  const length = Math.max(...[1, 2, 5].map((each) => each * power).filter((each) => each <= longest));
  document.getElementById("bar").hidden = false;
  document.getElementById("bar-label").textContent = lengthText(length);
  document.getElementById("bar-line").style.width = `${length * view.scale}px`;
}

function lengthText(um, digits = 3) {
  const [unit, name] = [[1e3, "mm"], [1, "µm"], [1e-3, "nm"]].find(([each]) => Math.abs(um) >= each) || [1e-3, "nm"];
  return `${Number((um / unit).toPrecision(digits))} ${name}`;
}

function redraw() {
  if (!awaited) requestAnimationFrame(draw);
  awaited = true;
}

function fit() {
  const all = frames.filter(shown);
  if (!all.length) return;
  const [left, bottom, right, top] = all.reduce(
    ([l, b, r, t], { centre: [x, y], size }) => [Math.min(l, x - size / 2), Math.min(b, y - size / 2), Math.max(r, x + size / 2), Math.max(t, y + size / 2)],
    [Infinity, Infinity, -Infinity, -Infinity],
  );
  view = {
    x: (left + right) / 2,
    y: (bottom + top) / 2,
    scale: 0.9 * Math.min(canvas.clientWidth / Math.max(right - left, 1e-3), canvas.clientHeight / Math.max(top - bottom, 1e-3)),
  };
  redraw();
}

function zoom(factor, px = canvas.clientWidth / 2, py = canvas.clientHeight / 2) {
  const [x, y] = toStage(px, py);
  view.scale = Math.min(1e6, Math.max(1e-6, view.scale * factor));
  view.x = x - (px - canvas.clientWidth / 2) / view.scale;
  view.y = y + (py - canvas.clientHeight / 2) / view.scale;
  redraw();
}

function move(dx, dy) {
  view.x += dx / view.scale;
  view.y -= dy / view.scale;
  redraw();
}

function inside([x, y], corners) {
  let found = false;
  for (let at = 0, before = corners.length - 1; at < corners.length; before = at++) {
    const [ax, ay] = corners[at];
    const [bx, by] = corners[before];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) found = !found;
  }
  return found;
}

// The smallest frame under a point: the last that was drawn there.
function at(px, py) {
  const point = toStage(px, py);
  const near = SMALLEST_PX / view.scale;
  for (let index = frames.length - 1; index >= 0; index--) {
    const frame = frames[index];
    if (!shown(frame)) continue;
    const [dx, dy] = [Math.abs(frame.centre[0] - point[0]), Math.abs(frame.centre[1] - point[1])];
    if (dx > frame.size / 2 + near || dy > frame.size / 2 + near) continue;
    if ((dx < near && dy < near) || inside(point, frame.corners)) return frame;
  }
  return null;
}

function choose(frame) {
  if (frame === selected) return;
  selected = frame;
  redraw();
  if (!frame) return;
  const words = element("p", {}, element("a", { href: `/frames/${frame.id}` }, `#${frame.id}`), ` ${categories[frame.category] ?? "not classified"}`);
  if (frame.hit) words.append(" ", element("span", { class: "badge" }, "hit"));
  const way = here && here !== frame ? element("p", { class: "pale" }, offset(frame)) : here === frame ? element("p", { class: "pale" }, "the newest frame: the stage is here") : null;
  chosen.replaceChildren(words, element("img", { class: "thumbnail", alt: `frame ${frame.id}`, src: picture(frame, 320) }), ...(way ? [way] : []));
}

function offset(frame) {
  const [dx, dy] = [frame.centre[0] - here.centre[0], frame.centre[1] - here.centre[1]];
  const arrow = "→↗↑↖←↙↓↘"[(Math.round((Math.atan2(dy, dx) * 4) / Math.PI) + 8) % 8];
  return `${arrow} ${lengthText(Math.hypot(dx, dy))} from the newest frame: x ${lengthText(dx)}, y ${lengthText(dy)}`;
}

function step(by) {
  const all = byTime.filter(shown);
  if (!all.length) return;
  const now = all.indexOf(selected);
  const next = all[(now < 0 ? (by > 0 ? 0 : all.length - 1) : now + by + all.length) % all.length];
  choose(next);
  const [x, y] = toScreen(next.centre);
  if (x < 0 || y < 0 || x > canvas.clientWidth || y > canvas.clientHeight) [view.x, view.y] = next.centre;
  redraw();
}

const KEYS = {
  "+": () => zoom(STEP), "=": () => zoom(STEP), "-": () => zoom(1 / STEP), 0: fit,
  ArrowLeft: () => move(-60, 0), ArrowRight: () => move(60, 0), ArrowUp: () => move(0, -60), ArrowDown: () => move(0, 60),
  n: () => step(1), p: () => step(-1), Enter: () => selected && location.assign(`/frames/${selected.id}`),
};
canvas.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
});

let held = null;
canvas.addEventListener("pointerdown", (event) => {
  held = { x: event.offsetX, y: event.offsetY, moved: false };
  canvas.setPointerCapture(event.pointerId);
});
canvas.addEventListener("pointermove", (event) => {
  if (!held) return choose(at(event.offsetX, event.offsetY) || selected);
  if (Math.hypot(event.offsetX - held.x, event.offsetY - held.y) > 4) held.moved = true;
  if (!held.moved) return;
  move(held.x - event.offsetX, held.y - event.offsetY);
  [held.x, held.y] = [event.offsetX, event.offsetY];
});
canvas.addEventListener("pointerup", (event) => {
  const found = at(event.offsetX, event.offsetY);
  if (held && !held.moved && found) {
    if (event.pointerType === "mouse" || found === selected) location.assign(`/frames/${found.id}`);
    else choose(found); // a finger cannot hover: the first touch shows, the second opens
  }
  held = null;
});
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(STEP ** (-event.deltaY / 100), event.offsetX, event.offsetY);
}, { passive: false });
document.getElementById("in").addEventListener("click", () => zoom(STEP));
document.getElementById("out").addEventListener("click", () => zoom(1 / STEP));
document.getElementById("fit").addEventListener("click", fit);
document.getElementById("next").addEventListener("click", () => step(1));
document.getElementById("previous").addEventListener("click", () => step(-1));
new ResizeObserver(redraw).observe(canvas);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

function legend() {
  const counts = new Map();
  for (const frame of frames) counts.set(frame.category, (counts.get(frame.category) || 0) + 1);
  document.getElementById("legend").replaceChildren(
    ...[...counts].sort((a, b) => b[1] - a[1]).map(([category, count]) => {
      const box = element("input", { type: "checkbox", checked: true });
      box.addEventListener("change", () => {
        if (box.checked) hidden.delete(category);
        else hidden.add(category);
        redraw();
      });
      const swatch = element("span", { class: "swatch" });
      swatch.style.background = COLOURS[category] || "currentColor";
      return element("li", {}, element("label", { class: "inline" }, box, swatch, ` ${categories[category] ?? "not classified"} (${count})`));
    }),
  );
}

async function load() {
  const query = filterQuery();
  if (document.getElementById("on-sample").checked) query.set("axes", "sample");
  const found = await ask(`/api/v1/map?${query}`);
  categories = found.categories;
  byTime = found.frames.map(([id, category, hit, x, y, ...corners]) => {
    const points = [];
    for (let index = 0; index < corners.length; index += 2) points.push([corners[index], corners[index + 1]]);
    const reach = points.reduce((most, [cx, cy]) => Math.max(most, Math.abs(cx - x), Math.abs(cy - y)), 0);
    return { id, category, hit: Boolean(hit), centre: [x, y], corners: points, size: 2 * reach };
  });
  frames = [...byTime].sort((a, b) => b.size - a.size);
  here = byTime.find((each) => each.id === found.newest) || null;
  selected = null;
  const words = [`${frames.length.toLocaleString("en")} frame${frames.length === 1 ? "" : "s"}`];
  if (found.without_position) words.push(`${found.without_position.toLocaleString("en")} without a stage position`);
  if (found.truncated) words.push(`only the newest ${(frames.length + found.without_position).toLocaleString("en")} are shown: filter to see others`);
  document.getElementById("state").textContent = words.join("; ");
  legend();
  fit();
  requestAnimationFrame(() => { document.getElementById("state").dataset.drawn = Math.round(performance.now()); });
}

const problem = (error) => { document.getElementById("state").textContent = error.message; };
document.getElementById("on-sample").addEventListener("change", () => load().catch(problem));
load().catch(problem);

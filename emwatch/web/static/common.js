// Shared by all pages. Text is always set as text, never as markup: file names and metadata are not ours.
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((each) => each !== null && each !== undefined));
  return made;
}

// The clock of the microscope's PC may differ from this one.
let skew = 0;

export function theirClock(iso) {
  const told = Date.parse(iso);
  if (told) skew = told - Date.now();
}

export const secondsSince = (iso) => Math.max(0, (Date.now() + skew - Date.parse(iso)) / 1000);

export async function ask(path, options = {}) {
  const response = await fetch(path, options);
  theirClock(response.headers.get("Date"));
  const document_ = await response.json().catch(() => ({}));
  if (!response.ok) {
    const bare = response.status === 413 ? "it is larger than any frame that is read; save it smaller, or raise watch.max_frame_mb in the configuration of emwatch" : `status ${response.status}`;
    const words = document_.error ? `${document_.error.message}. ${document_.error.advice}` : bare;
    throw Object.assign(new Error(words), { status: response.status });
  }
  return document_;
}

export const share = (value) => (value === null || value === undefined ? "" : value.toFixed(2));

// In tenths, without the sign of a zero: a stage at rest is at -0.00009 degrees.
export const degrees = (value) => (Math.round(value * 10) / 10 || 0).toFixed(1);
export const number = (value) => value.toLocaleString("en", { maximumSignificantDigits: 6 });

export function age(iso) {
  const seconds = secondsSince(iso);
  const [unit, length] = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]].find(([, each]) => seconds >= each) || ["second", 1];
  const whole = Math.round(seconds / length);
  return `${whole} ${unit}${whole === 1 ? "" : "s"} ago`;
}

// An age that stays true while the page is open.
export const ageOf = (iso) => element("time", { datetime: iso, "data-age": "" }, age(iso));
setInterval(() => {
  for (const each of document.querySelectorAll("[data-age]")) {
    const now = age(each.dateTime);
    if (each.textContent !== now) each.textContent = now;
  }
}, 1000);

export const size = (bytes) => (bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${(bytes / 1e6).toFixed(1)} MB`);

// With its version in the address, a picture is asked for once and never again.
export const picture = (frame, pixels) => `/api/v1/frames/${frame.id}/picture?size=${pixels}${frame.picture_version ? `&v=${frame.picture_version}` : ""}`;

export const named = (frame) =>
  frame.category ? `${frame.category} ${share(frame.probability)}${frame.uncertain ? " ?" : ""}` : frame.code || frame.state;

// Long names of categories break at their underscores.
const breakable = (text) => text.split("_").flatMap((part, at) => (at ? ["_", element("wbr"), part] : [part]));

export function tile(frame, remark = "") {
  const image = frame.state === "recorded" ? element("img", { alt: "", loading: "lazy", src: picture(frame, 320) }) : null;
  const words = element("span", { class: "words" });
  if (frame.targets.length) words.append(element("span", { class: "badge" }, frame.targets.join(", ")), element("br"));
  words.append(element("b", {}, ...breakable(named(frame))), element("br"), element("span", { class: "pale" }, `#${frame.id} ${frame.name}`));
  if (remark) words.append(element("br"), element("span", { class: "pale" }, remark));
  return element(
    "a",
    { class: `tile${frame.targets.length ? " hit" : ""}`, href: `/frames/${frame.id}` },
    element("span", { class: "picture" }, image),
    words,
  );
}

export function scores(list) {
  return element(
    "ul",
    { class: "scores" },
    ...list.map((each) =>
      element(
        "li",
        {},
        element("span", {}, each.category),
        element("meter", { min: 0, max: 1, value: each.probability, "aria-label": each.category }),
        element("span", { class: "value" }, share(each.probability)),
      ),
    ),
  );
}

export function localTimes(root = document) {
  for (const each of root.querySelectorAll("time[datetime]")) each.textContent = new Date(each.dateTime).toLocaleString();
}

function sayHealth(level, state, ...rest) {
  document.getElementById("health").className = level;
  const said = document.getElementById("health-state");
  if (said.textContent !== state) said.textContent = state; // read aloud when it changes, and only then
  document.getElementById("health-age").replaceChildren(...rest);
}

export function health(status) {
  const bad = !status.running || status.state === "silent";
  const warned = status.warnings.length ? ` · ${status.warnings.length} warning${status.warnings.length > 1 ? "s" : ""}` : "";
  const last = status.last_frame_at ? [" · last frame ", ageOf(status.last_frame_at)] : [];
  sayHealth(bad ? "bad" : warned ? "warn" : "good", `${status.state}${warned}`, ...last);
}

export const noHealth = (error) => sayHealth("bad", `no answer: ${error.message}`);

// What can wait is asked for when the page is there to be read: on a large log it keeps the server busy for a while.
export const afterPaint = (action) => requestAnimationFrame(() => setTimeout(action));

// For pages that are not told by events.
export function watchHealth() {
  const look = () => document.hidden || ask("/api/v1/status").then(health, noHealth);
  afterPaint(look);
  setInterval(look, 15000);
  document.addEventListener("visibilitychange", look);
}

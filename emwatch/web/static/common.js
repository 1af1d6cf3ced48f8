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

export async function ask(path, options = {}) {
  const response = await fetch(path, options);
  const told = Date.parse(response.headers.get("Date"));
  if (told) skew = told - Date.now();
  const document_ = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(document_.error ? `${document_.error.message}. ${document_.error.advice}` : `status ${response.status}`);
  return document_;
}

export const share = (value) => (value === null || value === undefined ? "" : value.toFixed(2));

export const number = (value) => value.toLocaleString("en", { maximumSignificantDigits: 6 });

export function age(iso) {
  const seconds = Math.max(0, (Date.now() + skew - Date.parse(iso)) / 1000);
  const [unit, length] = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]].find(([, each]) => seconds >= each) || ["second", 1];
  const whole = Math.round(seconds / length);
  return `${whole} ${unit}${whole === 1 ? "" : "s"} ago`;
}

export const size = (bytes) => (bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${(bytes / 1e6).toFixed(1)} MB`);

export const picture = (frame, pixels) => `/api/v1/frames/${frame.id}/picture?size=${pixels}`;

export const named = (frame) =>
  frame.category ? `${frame.category} ${share(frame.probability)}${frame.uncertain ? " ?" : ""}` : frame.code || frame.state;

export function tile(frame, remark = "") {
  const image = frame.state === "recorded" ? element("img", { alt: "", loading: "lazy", src: picture(frame, 320) }) : null;
  const words = element("span", { class: "words" });
  if (frame.targets.length) words.append(element("span", { class: "badge" }, frame.targets.join(", ")), element("br"));
  words.append(element("b", {}, named(frame)), element("br"), element("span", { class: "pale" }, `#${frame.id} ${frame.name}`));
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

export function health(status) {
  const shown = document.getElementById("health");
  const bad = !status.running || status.state === "silent";
  shown.className = bad ? "bad" : status.warnings.length ? "warn" : "good";
  const words = [status.state];
  if (status.last_frame_at) words.push(`last frame ${age(status.last_frame_at)}`);
  if (status.warnings.length) words.push(`${status.warnings.length} warning${status.warnings.length > 1 ? "s" : ""}`);
  shown.textContent = words.join(" · ");
}

export function noHealth(error) {
  const shown = document.getElementById("health");
  shown.className = "bad";
  shown.textContent = `no answer: ${error.message}`;
}

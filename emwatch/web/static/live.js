import { age, ask, element, health, named, noHealth, number, picture, scores, size, tile } from "./common.js";

const RECENT = 24;
const recent = document.getElementById("recent");
let shownId = 0;

function showLast(frame) {
  if (frame.id < shownId) return;
  shownId = frame.id;
  const facts = [];
  if (frame.magnification !== null) facts.push(`${number(frame.magnification)}×`);
  if (frame.stage_tilt_deg !== null) facts.push(`tilt ${number(frame.stage_tilt_deg)}°`);
  if (frame.working_distance_mm !== null) facts.push(`WD ${number(frame.working_distance_mm)} mm`);
  if (frame.accelerating_voltage_kv !== null) facts.push(`${number(frame.accelerating_voltage_kv)} kV`);
  if (frame.detector) facts.push(frame.detector);
  const last = document.getElementById("last");
  const image =
    frame.state === "recorded"
      ? element(
          "a",
          { href: `/frames/${frame.id}`, class: "shot" },
          element("img", { src: `${picture(frame, 1280)}&scale_bar=1`, alt: `${named(frame)}, ${frame.name}` }),
        )
      : element("p", { class: "bad" }, frame.reason);
  last.replaceChildren(
    element("p", { class: "verdict" }, named(frame)),
    element("p", {}, frame.targets.length ? element("span", { class: "badge" }, frame.targets.join(", ")) : null, ` #${frame.id} ${frame.name} `, element("span", { class: "pale" }, age(frame.recorded_at))),
    image,
    element("p", { class: "pale" }, facts.join(" · ") || "The file says nothing about how it was acquired."),
    scores(frame.scores),
  );
}

function add(frame) {
  const same = recent.querySelector(`[data-id="${frame.id}"]`);
  if (same) same.remove();
  recent.prepend(element("li", { "data-id": frame.id }, tile(frame)));
  while (recent.children.length > RECENT) recent.lastElementChild.remove();
  showLast(frame);
}

async function showTargets() {
  const { targets } = await ask("/api/v1/targets");
  const shown = targets.map((each) => {
    const fresh = each.last && Date.now() - Date.parse(each.last.recorded_at) < 60000;
    return element(
      "a",
      { class: `plate target tile${each.count ? " seen" : ""}${fresh ? " fresh" : ""}`, href: `/frames?target=${encodeURIComponent(each.name)}` },
      element("span", { class: "words" }, element("span", { class: "what" }, each.name), element("br"),
        element("span", { class: "state" }, each.count ? `seen ${age(each.last.recorded_at)}` : "not seen yet"), element("br"),
        element("span", { class: "pale" }, each.count ? `${each.count} time${each.count > 1 ? "s" : ""}` : "")),
    );
  });
  document.getElementById("targets").replaceChildren(
    ...(shown.length ? shown : [element("p", { class: "pale" }, "No target is configured: write one under targets: in the configuration.")]),
  );
}

function row(name, value) {
  return element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, value));
}

async function showState() {
  try {
    const status = await ask("/api/v1/status");
    health(status);
    const { frames, alerts } = status;
    const rows = [
      row("Daemon", status.state),
      ...status.directories.map((each) => row("Directory", `${each.path} (${each.mode})`)),
      row("Frames", `${frames.recorded ?? "?"} recorded, ${frames.failed ?? "?"} failed, ${frames.waiting ?? 0} waiting`),
    ];
    if (status.lag_s !== null) rows.push(row("Lag of the last frame", `${status.lag_s.toFixed(2)} s`));
    if (status.model && status.model.name) rows.push(row("Model", status.model.name));
    for (const [name, each] of Object.entries(alerts || {})) {
      rows.push(row(`Channel ${name}`, each.dead ? `${each.dead} given up` : each.pending ? `${each.pending} waiting` : "all delivered"));
    }
    if (status.disk) rows.push(row("Free disk", size(status.disk.free_bytes)));
    document.getElementById("state").replaceChildren(...rows);
    document.getElementById("warnings").replaceChildren(...status.warnings.map((each) => element("li", {}, each)));
  } catch (error) {
    noHealth(error);
  }
}

async function start() {
  await Promise.allSettled([showState(), showTargets()]);
  const { frames } = await ask(`/api/v1/frames?limit=${RECENT}`);
  for (const frame of frames.reverse()) add(frame);
  const after = frames.reduce((most, each) => Math.max(most, each.id), 0);
  // The browser connects again by itself, and names the last frame it saw.
  const events = new EventSource(`/api/v1/events?after=${after}`);
  events.addEventListener("frame", (event) => {
    const frame = JSON.parse(event.data);
    add(frame);
    if (frame.targets.length) showTargets().catch(noHealth);
  });
  setInterval(showState, 5000);
  setInterval(() => showTargets().catch(noHealth), 20000);
}

start().catch(noHealth);

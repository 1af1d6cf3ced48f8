import { ageOf, ask, degrees, element, health, named, noHealth, number, picture, scores, secondsSince, size, theirClock, tile } from "./common.js";

const RECENT = 24;
const recent = document.getElementById("recent");
let shownId = 0;

function showLast(frame) {
  if (frame.id < shownId) return;
  shownId = frame.id;
  const facts = [];
  if (frame.magnification !== null) facts.push(`${number(frame.magnification)}×`);
  if (frame.stage_tilt_deg !== null) facts.push(`tilt ${degrees(frame.stage_tilt_deg)}°`);
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
    element("p", {}, frame.targets.length ? element("span", { class: "badge" }, frame.targets.join(", ")) : null, ` #${frame.id} ${frame.name} `, element("span", { class: "pale" }, ageOf(frame.recorded_at))),
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
}

const SNOOZES = [["for 30 minutes", 30], ["for 1 hour", 60], ["for 4 hours", 240], ["for 1 day", 1440]];

async function about(request, words) {
  const said = document.getElementById("said");
  try {
    await ask("/api/v1/alerts", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(request) });
    said.textContent = words; // the server tells when the daemon has done it
  } catch (error) {
    said.textContent = error.message;
  }
}

// A button beside the menu: in a closed menu, each press of an arrow key is a choice.
function snoozing(target, until) {
  const what = target || "everything";
  const button = (words, action) => {
    const made = element("button", { type: "button", class: "plain", "data-key": `snooze ${target}` }, words);
    made.addEventListener("click", () => action(made));
    return made;
  };
  if (until) {
    const again = button("Alert again", () => about({ do: "snooze", target, minutes: 0 }, `${what}: alerts again`));
    return [element("span", {}, `silent until ${new Date(until).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })} `), again];
  }
  const choice = element("select", { "aria-label": `How long to snooze alerts of ${what}`, "data-key": `how long ${target}` },
    ...SNOOZES.map(([words, minutes]) => element("option", { value: minutes }, words)));
  return [choice, button("Snooze", (made) => {
    const chosen = made.parentElement.querySelector("select").selectedOptions[0];
    about({ do: "snooze", target, minutes: Number(chosen.value) }, `${what}: no alerts ${chosen.textContent}`);
  })];
}

const isFresh = (iso) => secondsSince(iso) < 60;

function card(each) {
  const actions = each.configured ? snoozing(each.name, each.snoozed_until) : [];
  if (each.unacknowledged) {
    const seen = element("button", { type: "button", "data-key": `seen ${each.name}` }, `Acknowledge ${each.unacknowledged} alert${each.unacknowledged > 1 ? "s" : ""}`);
    seen.addEventListener("click", () => about({ do: "acknowledge", target: each.name, up_to: each.newest_alert }, `${each.name}: acknowledged`));
    actions.unshift(seen);
  }
  const last = each.last?.recorded_at;
  return element(
    "div",
    { class: `plate target${each.count ? " seen" : ""}${last && isFresh(last) ? " fresh" : ""}`, "data-target": each.name, "data-last": last },
    element("a", { href: `/frames?target=${encodeURIComponent(each.name)}`, "data-key": `open ${each.name}` },
      element("span", { class: "what" }, each.name),
      element("span", { class: "state" }, ...(each.count ? ["seen ", ageOf(last)] : ["not seen yet"])),
      element("span", { class: "pale" }, each.count ? `${number(each.count)} time${each.count > 1 ? "s" : ""}` : "")),
    element("p", { class: "actions" }, ...actions),
  );
}

// A menu that is open or chosen from must not vanish under the hand; all around it is made new.
function renew(at, fresh) {
  const menu = at.querySelector("select");
  const place = fresh.findIndex((each) => each.tagName === "SELECT");
  if (!menu || place < 0) {
    at.replaceChildren(...fresh);
    return;
  }
  for (const each of [...at.childNodes]) if (each !== menu) each.remove();
  menu.before(...fresh.slice(0, place));
  menu.after(...fresh.slice(place + 1));
}

function renewCard(old, fresh) {
  old.className = fresh.className;
  if (fresh.dataset.last) old.dataset.last = fresh.dataset.last;
  old.querySelector("a").replaceWith(fresh.querySelector("a"));
  renew(old.querySelector(".actions"), [...fresh.querySelector(".actions").childNodes]);
}

function showTargets({ targets, all_snoozed_until }) {
  const at = document.getElementById("targets");
  const everything = document.getElementById("everything");
  const focus = document.activeElement?.dataset.key;
  const cards = targets.map(card);
  const old = [...at.children];
  if (old.length === cards.length && cards.every((each, place) => each.dataset.target === old[place].dataset.target)) {
    cards.forEach((each, place) => renewCard(old[place], each));
  } else {
    at.replaceChildren(...cards);
  }
  if (!targets.length) at.replaceChildren(element("p", { class: "pale" }, "No target is configured: write one under targets: in the configuration."));
  renew(everything, targets.length ? ["All alerts: ", ...snoozing("", all_snoozed_until)] : []);
  if (focus && document.activeElement?.dataset.key !== focus) {
    [...document.querySelectorAll("[data-key]")].find((each) => each.dataset.key === focus)?.focus();
  }
}

setInterval(() => {
  for (const each of document.querySelectorAll(".target.fresh")) each.classList.toggle("fresh", isFresh(each.dataset.last));
}, 5000);

const MARKS = { good: ["●", "in order"], warn: ["▲", "warning"], bad: ["✕", "fault"] };

function row(name, value, level = "good") {
  const [mark, words] = MARKS[level];
  return element("tr", {}, element("th", { scope: "row" }, element("span", { class: level, role: "img", "aria-label": words }, mark), ` ${name}`), element("td", {}, value));
}

const LEVEL_OF_MODE = { degraded: "warn", unavailable: "bad", "not watched": "warn" };

function channel(of) {
  if (of.dead) return [`${of.dead} given up: ${of.last_error}`, "bad"];
  if (of.pending) return [`${of.pending} waiting ${of.last_error}`, of.last_error ? "warn" : "good"];
  return ["all delivered", "good"];
}

function showState(status) {
  theirClock(status.sent_at);
  document.getElementById("lost").hidden = true;
  document.body.classList.remove("stale");
  health(status);
  const { frames, alerts, model, disk } = status;
  const rows = [
    row("Daemon", status.state, !status.running || status.state === "silent" ? "bad" : "good"),
    ...status.directories.map((each) => row("Directory", `${each.path}: ${each.mode}${each.why ? `, ${each.why}` : ""}`, LEVEL_OF_MODE[each.mode] || "good")),
    row("Frames", `${frames.recorded ?? "?"} recorded, ${frames.failed ?? "?"} failed, ${frames.waiting ?? 0} waiting`),
    row("Rate", frames.last_hour === null ? "not known" : `${frames.last_hour} frame${frames.last_hour === 1 ? "" : "s"} in the last hour`),
    row("Last frame", status.last_frame_at ? element("span", {}, ageOf(status.last_frame_at), status.lag_s === null ? "" : `, recorded ${status.lag_s.toFixed(2)} s after it was seen`) : "none yet"),
  ];
  if (model) rows.push(row("Model", model.trouble || model.name, model.trouble ? "warn" : "good"));
  for (const [name, each] of Object.entries(alerts || {})) rows.push(row(`Channel ${name}`, ...channel(each)));
  if (disk) rows.push(row("Disk", `${size(disk.free_bytes)} free`, disk.free_bytes < 2 ** 30 ? "bad" : "good"));
  rows.push(row("Ledger", status.ledger.trouble || size((status.ledger.bytes ?? 0) + (status.ledger.wal_bytes ?? 0)), status.ledger.trouble ? "bad" : "good"));
  document.getElementById("state").replaceChildren(...rows);
  document.getElementById("warnings").replaceChildren(...status.warnings.map((each) => element("li", {}, each)));
}

// Across the room, a page that shows what was must not look like one that shows what is.
function lost(why) {
  const said = document.getElementById("lost");
  said.replaceChildren(`${why} What is shown is from ${new Date(heardAt).toLocaleTimeString()}; connecting again…`);
  said.hidden = false;
  document.body.classList.add("stale");
  noHealth(new Error(why));
}

const TOGETHER_MS = 50;
const SILENT_MS = 15000; // the state comes every 5 s
const arrived = [];
let events = null;
let last = null; // the last frame that is shown, once it is known
let heardAt = Date.now();
let triedAt = heardAt;

// Frames of a burst are shown together: the newest large, all in the strip.
function showArrived() {
  const frames = arrived.splice(0);
  showLast(frames.at(-1));
  for (const frame of frames.slice(-RECENT)) add(frame);
  const hits = new Map(frames.flatMap((each) => each.targets.map((name) => [name, each.id])));
  if (hits.size) document.getElementById("hit").textContent = [...hits].map(([name, id]) => `${name}: seen on frame ${id}`).join("; ");
}

function on(kind, show) {
  events.addEventListener(kind, (event) => {
    heardAt = Date.now();
    show(JSON.parse(event.data));
  });
}

// The browser connects again by itself, and names the last frame it saw; not so after an answer that is an error.
// A browser has few connections to one server: tabs that nobody sees leave them to the others, and catch up.
function listen() {
  events?.close();
  if (document.hidden || last === null) return;
  events = new EventSource(`/api/v1/events?after=${last}`);
  triedAt = Date.now();
  on("status", showState);
  on("targets", showTargets);
  on("frame", (frame) => {
    last = frame.id;
    if (!arrived.length) setTimeout(showArrived, TOGETHER_MS);
    arrived.push(frame);
  });
  const mine = events;
  events.addEventListener("error", () => {
    lost("The connection is lost.");
    if (mine.readyState === EventSource.CLOSED) setTimeout(() => mine === events && listen(), 3000);
  });
}

// A connection that is half open, as after a night of sleep, raises no error.
setInterval(() => {
  if (events && !document.hidden && Date.now() - Math.max(heardAt, triedAt) > SILENT_MS) {
    lost("Nothing is heard any more.");
    if (events.readyState === EventSource.OPEN) listen();
  }
}, 5000);

document.addEventListener("visibilitychange", listen);

async function start() {
  const { frames } = await ask(`/api/v1/frames?limit=${RECENT}`);
  if (!frames.length) document.getElementById("last").replaceChildren(element("p", { class: "pale" }, "No frame has been recorded yet."));
  else showLast(frames[0]); // first: pictures are made one at a time
  for (const frame of frames.reverse()) add(frame);
  last = frames.reduce((most, each) => Math.max(most, each.id), 0);
  listen();
}

// The ledger may be away when the page is opened: it comes back by itself.
const begin = () => start().catch((error) => {
  noHealth(error);
  if (!shownId) document.getElementById("last").replaceChildren(element("p", { class: "bad" }, error.message));
  setTimeout(begin, 3000);
});
begin();

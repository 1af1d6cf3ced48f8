import { ask, element, named, picture, scores, watchHealth } from "./common.js";

const shown = document.getElementById("shown");
const said = document.getElementById("said");
const done = document.getElementById("done");
const queue = [];
const answered = [];
const seen = new Set();
const mine = new Set(); // when the reviews of this tab were given
let current = null;

// The review that counts, if somebody else gave it: a colleague, another tab, the command line.
const byOthers = (frame) => frame.reviews.find((each) => each.counts && !mine.has(Date.parse(each.reviewed_at)));

async function fill() {
  const wanted = new URLSearchParams(location.search);
  if (wanted.has("id")) {
    take([{ ...(await ask(`/api/v1/frames/${wanted.get("id")}`)), asked: true }]);
    history.replaceState(null, "", "/review");
    return;
  }
  const [hits, doubtful, rest] = await Promise.all([
    ask("/api/v1/frames?state=recorded&reviewed=0&hits=1&limit=50"),
    ask("/api/v1/frames?state=recorded&reviewed=0&uncertain=1&limit=100"),
    ask("/api/v1/frames?state=recorded&reviewed=0&limit=50"),
  ]);
  take(hits.frames);
  take(doubtful.frames.sort((a, b) => a.margin - b.margin));
  take(rest.frames.sort((a, b) => a.margin - b.margin));
}

function take(frames) {
  for (const frame of frames) {
    if (seen.has(frame.id)) continue;
    seen.add(frame.id);
    queue.push(frame);
  }
}

// A queue is as old as the page: what somebody reviewed meanwhile is not asked for again, and a later model may have changed its mind.
async function renewed(frame) {
  try {
    const found = await ask(`/api/v1/frames/${frame.id}`);
    return byOthers(found) && !frame.asked ? null : { ...found, asked: frame.asked, before: byOthers(found) ?? frame.before };
  } catch (error) {
    if (error.status === 404) return null; // pruned
    queue.unshift(frame);
    throw error;
  }
}

async function next() {
  current = null;
  while (!current) {
    if (!queue.length) await fill();
    if (!queue.length) break;
    current = await renewed(queue.shift());
  }
  if (!current) {
    shown.replaceChildren(element("p", { role: "status" }, "Every frame has been reviewed."));
    return;
  }
  shown.replaceChildren(
    element("div", { class: "shot" }, element("img", { src: `${picture(current, 1280)}&scale_bar=1`, alt: current.name })),
    element("p", { class: "verdict" }, named(current)),
    element("p", {}, current.targets.length ? element("span", { class: "badge" }, current.targets.join(", ")) : null, ` #${current.id} ${current.name}`),
    scores(current.scores.slice(0, 3)),
  );
}

async function send(frame, verdict, category) {
  const body = { frames: [frame.id], verdict };
  if (category) body.category = category;
  const { reviews } = await ask("/api/v1/reviews", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  for (const each of reviews) mine.add(Date.parse(each.reviewed_at));
}

async function answer(verdict, category) {
  if (!current) {
    await next(); // the connection was lost before the next one was shown
    return;
  }
  const frame = current;
  const other = byOthers(await ask(`/api/v1/frames/${frame.id}`));
  if (other && other.reviewed_at !== frame.before?.reviewed_at) {
    frame.before = other;
    said.textContent = `#${frame.id} was reviewed meanwhile: ${other.category || other.verdict} by ${other.reviewed_by}. Answer again to replace that, or skip.`;
    return;
  }
  await send(frame, verdict, verdict === "confirm" ? frame.category : category);
  const words = verdict === "relabel" ? category : verdict === "confirm" ? frame.category : verdict;
  answered.push(frame);
  try {
    await next();
    said.textContent = `#${frame.id}: ${words}`;
  } finally {
    done.prepend(element("li", { "data-id": frame.id }, `#${frame.id} ${frame.name}: ${words}`));
  }
}

// What somebody else had said counts again; else nobody has said anything.
function takeBack(frame) {
  const { before } = frame;
  if (!before) return send(frame, "unsure");
  const verdict = before.verdict === "confirm" && before.category !== frame.category ? "relabel" : before.verdict;
  return send(frame, verdict, before.category);
}

async function undo() {
  const frame = answered.pop();
  if (!frame) {
    said.textContent = "nothing to undo";
    return;
  }
  try {
    await takeBack(frame);
  } catch (error) {
    answered.push(frame);
    throw error;
  }
  done.querySelector(`[data-id="${frame.id}"]`)?.remove();
  if (current) queue.unshift(current);
  queue.unshift(frame);
  await next();
  said.textContent = `#${frame.id}: taken back`;
}

async function skip() {
  const skipped = current;
  await next();
  if (skipped) said.textContent = `#${skipped.id}: skipped`;
}

// A second key before the first is answered would be meant for a frame that is not shown yet.
let busy = false;
async function once(action) {
  if (busy) return;
  busy = true;
  try {
    await action();
  } catch (error) {
    said.textContent = error.message;
  } finally {
    busy = false;
  }
}

const buttons = [...document.querySelectorAll("#answers button")];
const relabels = buttons.filter((each) => each.dataset.verdict === "relabel");
for (const each of buttons) each.addEventListener("click", () => once(() => press(each)));

function press(button) {
  if (button.dataset.skip) return skip();
  if (button.dataset.undo) return undo();
  return answer(button.dataset.verdict, button.dataset.category);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  const byKey = { c: () => answer("confirm"), r: () => answer("reject"), u: () => answer("unsure"), z: undo, " ": skip };
  let action = byKey[event.key];
  if (/^[0-9]$/.test(event.key)) {
    const button = relabels[(Number(event.key) + 9) % 10];
    action = () => answer("relabel", button.dataset.category);
  }
  if (!action || (event.key === " " && event.target.matches("button"))) return;
  event.preventDefault();
  if (!event.repeat) once(action);
});

watchHealth();
next().catch((error) => { shown.replaceChildren(element("p", { class: "bad" }, error.message)); });

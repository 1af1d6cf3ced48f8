// Teaching a target: frames of the gallery are marked as showing it or not; what it would have found is shown first.
import { ask, element, tile } from "./common.js";

const KEPT = "emwatch.lesson";
const KINDS = [["wanted", "shows it"], ["unwanted", "does not"]];

export function teach(tiles) {
  const panel = document.getElementById("teach");
  const said = document.getElementById("lesson");
  const save = document.getElementById("keep");
  const name = document.getElementById("target-name");
  // Marks outlive another filter and the next page of frames, and end with the tab.
  const marks = new Map(JSON.parse(sessionStorage.getItem(KEPT) || "[]"));

  function numbers(kind) {
    return [...marks].filter(([, each]) => each === kind).map(([id]) => id);
  }

  function mark(id, kind) {
    if (marks.get(id) === kind) marks.delete(id);
    else marks.set(id, kind);
    sessionStorage.setItem(KEPT, JSON.stringify([...marks]));
    save.disabled = true;
    refresh();
  }

  function buttons(item) {
    const id = Number(item.dataset.id);
    const row = element("p", { class: "marks" });
    for (const [kind, words] of KINDS) {
      const button = element("button", { type: "button", class: "plain", "data-kind": kind, "aria-label": `#${id} ${words}` }, words);
      button.addEventListener("click", () => mark(id, kind));
      row.append(button);
    }
    return row;
  }

  function refresh() {
    for (const item of tiles.querySelectorAll("li[data-id]")) {
      if (!panel.open) {
        item.querySelector(".marks")?.remove();
        continue;
      }
      if (!item.querySelector(".marks")) item.append(buttons(item));
      const kind = marks.get(Number(item.dataset.id));
      for (const button of item.querySelectorAll(".marks button")) button.setAttribute("aria-pressed", String(button.dataset.kind === kind));
    }
    document.getElementById("marked").textContent = `${numbers("wanted").length} show it, ${numbers("unwanted").length} do not`;
  }

  const share = (found) => (found && found[0] !== null ? `${Math.round(100 * found[0])} % (${Math.round(100 * found[1])}–${Math.round(100 * found[2])})` : "unknown");

  async function learn(keep) {
    said.replaceChildren(element("p", { role: "status" }, "learning… this takes some seconds"));
    try {
      const body = JSON.stringify({ name: name.value.trim(), wanted: numbers("wanted"), unwanted: numbers("unwanted"), keep });
      const found = await ask("/api/v1/targets/learn", { method: "POST", headers: { "Content-Type": "application/json" }, body });
      said.replaceChildren(
        element("p", { class: "verdict", role: "status" }, keep ? `“${found.name}” is saved, version ${found.version}` : `It would have found ${found.count.toLocaleString("en")} frame${found.count === 1 ? "" : "s"} of the log`),
        element("p", {}, `Expect, of frames like these: ${share(found.recall)} of what is meant is found; ${share(found.false_alarms)} of other frames are false alarms.`),
        ...found.warnings.map((each) => element("p", { class: "warn" }, each)),
        keep ? element("p", {}, "Alerts for it come once the configuration has it, after a reload: ", element("code", {}, `targets: [{name: ${JSON.stringify(found.name)}, learned: ${JSON.stringify(found.name)}}]`)) : null,
        !keep && found.version > 1 ? element("p", { class: "warn" }, `There is a target “${found.name}” already: saved, this is its version ${found.version}, and what taught it before counts no more.`) : null,
        element("ul", { class: "tiles", "aria-label": "What it would have found, the likeliest first" }, ...found.found.map((each) => element("li", {}, tile(each, `score ${each.score.toFixed(2)}`)))),
      );
      save.disabled = keep;
    } catch (error) {
      said.replaceChildren(element("p", { class: "bad", role: "alert" }, error.message));
    }
  }

  document.getElementById("lesson-form").addEventListener("submit", (event) => {
    event.preventDefault();
    learn(false);
  });
  save.addEventListener("click", () => learn(true));
  document.getElementById("forget").addEventListener("click", () => {
    marks.clear();
    sessionStorage.removeItem(KEPT);
    said.replaceChildren();
    save.disabled = true;
    refresh();
  });
  panel.addEventListener("toggle", refresh);
  if (marks.size) panel.open = true;
  refresh();
  return { refresh };
}

import { ask, element, scores, share, watchHealth } from "./common.js";

const form = document.getElementById("ask");
const files = document.getElementById("files");
const said = document.getElementById("asking");

watchHealth();

const AGAIN_MS = 3000;

// More pictures than are answered about within a minute wait for their turn.
async function inTurn(file) {
  for (;;) {
    said.textContent = `reading ${file.name}…`;
    const body = new FormData();
    body.append("picture", file, file.name || "pasted.png");
    try {
      return await ask("/api/v1/ask", { method: "POST", body });
    } catch (error) {
      if (error.status !== 429) throw error;
      said.textContent = `${file.name} waits: ${error.message}`;
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }
}

async function about(list) {
  for (const file of list) {
    let shown;
    try {
      shown = answer(await inTurn(file));
    } catch (error) {
      shown = element("section", { class: "plate" }, element("h2", {}, file.name), element("p", { class: "bad" }, error.message));
    }
    document.getElementById("answers").prepend(shown);
  }
  said.textContent = "";
}

function answer(found) {
  const rows = found.metadata
    .filter((each) => each.value !== null)
    .map((each) => element("tr", {}, element("th", { scope: "row" }, each.title), element("td", {}, each.text), element("td", { class: "pale" }, each.source)));
  return element(
    "section",
    { class: "plate", "aria-label": found.name },
    element("h2", {}, found.name),
    element("p", { class: "verdict" }, `${found.category} ${share(found.probability)}${found.uncertain ? " ?" : ""}`),
    found.uncertain ? element("p", { class: "warn" }, "The model is not sure.") : null,
    scores(found.scores),
    element("p", { class: "pale" }, `${found.image.format}, ${found.image.width} × ${found.image.height}, ${found.image.pixel_type}; ${found.vendor || "maker not known"}`),
    element("div", { class: "scroll" }, element("table", {}, element("tbody", {}, ...rows))),
  );
}

files.addEventListener("change", () => about([...files.files]));
form.addEventListener("submit", (event) => event.preventDefault());
for (const kind of ["dragover", "dragleave", "drop"]) {
  form.addEventListener(kind, (event) => {
    event.preventDefault();
    form.classList.toggle("over", kind === "dragover");
    if (kind === "drop") about([...event.dataTransfer.files]);
  });
}
document.addEventListener("paste", (event) => {
  const pasted = [...event.clipboardData.files];
  if (pasted.length) about(pasted);
});

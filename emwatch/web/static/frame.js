import { ask, element, localTimes, tile, watchHealth } from "./common.js";
import { Zoom } from "./zoom.js";

localTimes();
watchHealth();

const picture = document.getElementById("picture");
if (picture) {
  new Zoom(document.getElementById("zoom"), picture);
  const similar = document.getElementById("similar");
  const said = document.getElementById("similar-state");
  ask(similar.dataset.source).then(
    ({ frames }) => {
      similar.replaceChildren(...frames.map((each) => element("li", {}, tile(each, `likeness ${each.score.toFixed(2)}`))));
      if (!frames.length) said.textContent = "No other frame has been compared yet.";
    },
    (error) => { said.textContent = error.message; },
  );
}

const copy = document.getElementById("copy");
copy.addEventListener("click", async () => {
  const said = document.getElementById("copied");
  const position = copy.dataset.position.trim();
  if (!position) {
    said.textContent = "The file does not say where the stage was.";
    return;
  }
  try {
    await navigator.clipboard.writeText(position);
    said.textContent = `copied: ${position}`;
  } catch {
    said.textContent = position;
  }
});

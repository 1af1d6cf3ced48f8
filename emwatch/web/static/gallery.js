import { afterPaint, ask, element, tile, watchHealth } from "./common.js";
import { filterQuery } from "./filters.js";
import { teach } from "./teach.js";

const query = filterQuery();

watchHealth();
afterPaint(() => ask(`/api/v1/frames/count?${query}`).then(
  ({ count }) => { document.getElementById("count").textContent = `${count.toLocaleString("en")} frame${count === 1 ? "" : "s"}`; },
  (error) => { document.getElementById("count").textContent = error.message; },
));

const tiles = document.getElementById("tiles");
const teaching = teach(tiles);

const more = document.getElementById("more");

async function showMore() {
  more.disabled = true;
  query.set("before", more.dataset.before);
  try {
    const found = await ask(`/api/v1/frames?${query}`);
    tiles.append(...found.frames.map((each) => element("li", { "data-id": each.id }, tile(each))));
    teaching.refresh();
    if (found.before) more.dataset.before = found.before;
    else more.remove();
  } catch (error) {
    document.getElementById("count").textContent = error.message;
    throw error;
  } finally {
    more.disabled = false;
  }
}

more?.addEventListener("click", () => showMore().then(
  () => history.replaceState({ ...history.state, more: (history.state?.more ?? 0) + 1 }, ""),
  () => {}, // said
));

// Who comes back from a frame finds the gallery as it was left.
async function comeBack({ more: times, scroll }) {
  for (let done = 0; done < times && more.isConnected; done += 1) await showMore();
  scrollTo(0, scroll);
}
if (more && history.state?.more) comeBack(history.state).catch(() => {});
addEventListener("pagehide", () => history.replaceState({ ...history.state, scroll: scrollY }, ""));

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
more?.addEventListener("click", async () => {
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
  } finally {
    more.disabled = false;
  }
});

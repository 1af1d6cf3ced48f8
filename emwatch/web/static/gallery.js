import { ask, element, health, noHealth, tile } from "./common.js";

const query = new URLSearchParams(location.search);
for (const [key, value] of [...query]) if (!value) query.delete(key);

ask("/api/v1/status").then(health, noHealth);
ask(`/api/v1/frames/count?${query}`).then(
  ({ count }) => { document.getElementById("count").textContent = `${count.toLocaleString("en")} frame${count === 1 ? "" : "s"}`; },
  (error) => { document.getElementById("count").textContent = error.message; },
);

const more = document.getElementById("more");
more?.addEventListener("click", async () => {
  more.disabled = true;
  query.set("before", more.dataset.before);
  try {
    const found = await ask(`/api/v1/frames?${query}`);
    document.getElementById("tiles").append(...found.frames.map((each) => element("li", {}, tile(each))));
    if (found.before) more.dataset.before = found.before;
    else more.remove();
  } finally {
    more.disabled = false;
  }
});

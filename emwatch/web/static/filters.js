// The filter form of the gallery and the map. What can be chosen takes a while to collect from a large log: the page does not wait.
import { ask, element, noHealth } from "./common.js";

export function filterQuery() {
  const query = new URLSearchParams(location.search);
  for (const [key, value] of [...query]) if (!value) query.delete(key);
  return query;
}

async function fill() {
  const { targets, sessions } = await ask("/api/v1/choices");
  const put = (name, options) => {
    const select = document.querySelector(`#filter select[name=${name}]`);
    const chosen = select.value;
    select.replaceChildren(element("option", { value: "" }, "any"), ...options.map(([value, words]) => element("option", { value }, words)));
    if (chosen && !options.some(([value]) => value === chosen)) select.append(element("option", { value: chosen }, chosen));
    select.value = chosen;
  };
  put("target", targets.map((each) => [each, each]));
  put("session", sessions.map((each) => [each.name, `${each.name} (${each.frames})`]));
}

const filter = document.getElementById("filter");
if (filter.open) fill().catch(noHealth);
else filter.addEventListener("toggle", () => fill().catch(noHealth), { once: true });

import { ask, health, localTimes, noHealth } from "./common.js";

localTimes();
ask("/api/v1/status").then(health, noHealth);

const larger = document.getElementById("larger");
larger?.addEventListener("click", () => {
  const fit = document.getElementById("zoom").classList.toggle("fit");
  const picture = document.getElementById("picture");
  if (!picture.dataset.small) picture.dataset.small = picture.src;
  picture.src = fit ? picture.dataset.small : larger.dataset.large;
  larger.setAttribute("aria-pressed", String(!fit));
  larger.textContent = fit ? "Enlarge" : "Fit to the window";
});

const copy = document.getElementById("copy");
copy.addEventListener("click", async () => {
  const said = document.getElementById("copied");
  if (!copy.dataset.position) {
    said.textContent = "The file does not say where the stage was.";
    return;
  }
  try {
    await navigator.clipboard.writeText(copy.dataset.position.trim());
    said.textContent = `copied: ${copy.dataset.position.trim()}`;
  } catch {
    said.textContent = copy.dataset.position.trim();
  }
});

// Zoom of one picture by buttons, keys and wheel, with a scale bar that is true at every zoom.
const STEP = 1.5;
const LARGEST = 16;
const SOURCES = [1280, 2560, 4096];
const BAR_SHARE = 0.3;
const UNITS = [[1e6, "mm"], [1e3, "µm"], [1, "nm"]];

export class Zoom {
  constructor(frame, picture) {
    this.frame = frame;
    this.picture = picture;
    this.acquired = Number(picture.dataset.width) || 0;
    this.pixelNm = Number(picture.dataset.nm) || 0;
    this.ratio = 4 / 3;
    this.factor = 1; // 1: the picture fits the frame
    document.getElementById("in").addEventListener("click", () => this.to(this.factor * STEP));
    document.getElementById("out").addEventListener("click", () => this.to(this.factor / STEP));
    document.getElementById("fit").addEventListener("click", () => this.to(1));
    document.getElementById("whole").addEventListener("click", () => this.to(this.acquired / this.fitted()));
    frame.addEventListener("keydown", (event) => this.press(event));
    frame.addEventListener("wheel", (event) => this.roll(event), { passive: false });
    addEventListener("resize", () => this.show());
    if (picture.complete) this.show();
    picture.addEventListener("load", () => this.show());
  }

  fitted() {
    const { naturalWidth, naturalHeight } = this.picture;
    if (naturalWidth) this.ratio = naturalWidth / naturalHeight; // unknown for a moment while a larger one is loaded
    return Math.min(this.frame.clientWidth, innerHeight * 0.8 * this.ratio);
  }

  to(factor, x = this.frame.clientWidth / 2, y = this.frame.clientHeight / 2) {
    const before = this.picture.clientWidth;
    const [left, top] = [this.frame.scrollLeft + x, this.frame.scrollTop + y];
    this.factor = Math.min(LARGEST, Math.max(1, factor));
    this.show();
    const grown = this.picture.clientWidth / before;
    this.frame.scrollTo(left * grown - x, top * grown - y);
  }

  show() {
    const width = this.fitted() * this.factor;
    this.picture.style.width = `${width}px`;
    const wanted = SOURCES.find((each) => each >= width) || SOURCES.at(-1);
    const shown = Number(this.picture.dataset.shown || SOURCES[0]);
    if (wanted > shown) {
      this.picture.dataset.shown = wanted;
      this.picture.src = `${this.picture.dataset.source}?size=${wanted}`;
    }
    document.getElementById("zoom-state").textContent = this.acquired ? `${Math.round((100 * width) / this.acquired)} % of the pixels` : "";
    this.showBar(width);
  }

  showBar(width) {
    const bar = document.getElementById("bar");
    bar.hidden = !(this.acquired && this.pixelNm);
    if (bar.hidden) return;
    const nmPerPixel = (this.pixelNm * this.acquired) / width;
    const longest = Math.min(this.frame.clientWidth, width) * BAR_SHARE * nmPerPixel;
    const power = 10 ** Math.floor(Math.log10(longest));
    const length = Math.max(...[1, 2, 5].map((each) => each * power).filter((each) => each <= longest));
    const [unit, name] = UNITS.find(([each]) => length >= each) || UNITS.at(-1);
    document.getElementById("bar-label").textContent = `${Number((length / unit).toPrecision(6))} ${name}`;
    document.getElementById("bar-line").style.width = `${length / nmPerPixel}px`;
  }

  press(event) {
    const action = { "+": () => this.to(this.factor * STEP), "=": () => this.to(this.factor * STEP), "-": () => this.to(this.factor / STEP), 0: () => this.to(1) }[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  }

  roll(event) {
    if (!event.ctrlKey) return; // the wheel alone scrolls, as everywhere
    event.preventDefault();
    const box = this.frame.getBoundingClientRect();
    this.to(this.factor * STEP ** (-event.deltaY / 100), event.clientX - box.left, event.clientY - box.top);
  }
}

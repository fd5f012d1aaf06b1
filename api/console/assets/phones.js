// Counts down the life that codes have left. The daemon says how many seconds that is, so the browser's clock does not matter.
// Without this file the pages say until when a code is good.

const ends = new WeakMap();

const spell = (s) => `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;

const count = () => {
  for (const at of document.querySelectorAll("time[data-left]")) {
    if (!ends.has(at)) ends.set(at, performance.now() + 1000 * at.dataset.left);
    const left = Math.max(0, Math.round((ends.get(at) - performance.now()) / 1000));
    at.textContent = left ? at.dataset.says.replace("%s", spell(left)) : at.dataset.over;
    at.closest(".code")?.classList.toggle("over", !left);
  }
};

document.addEventListener("fresh", count);
setInterval(count, 1000);
count();

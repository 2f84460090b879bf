// The histogram: drag over it to narrow the time; arrow keys walk along the bars.
import { changed } from "./address.js";

const LEAST_DRAG_PX = 5;

export function startChart() {
  const chart = document.getElementById("bars");
  const bars = [...(chart?.querySelectorAll("a") ?? [])];
  if (!bars.length) return;
  walk(bars);
  drag(chart, bars);
}

function walk(bars) {
  for (const [place, bar] of bars.entries()) {
    bar.addEventListener("keydown", (event) => {
      const next = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: bars.length - 1 }[event.key];
      if (next === undefined || !bars[next]) return;
      event.preventDefault();
      bar.setAttribute("tabindex", "-1");
      bars[next].setAttribute("tabindex", "0");
      bars[next].focus();
    });
  }
}

function drag(chart, bars) {
  const brush = chart.querySelector(".brush");
  let from = null;
  let dragged = false;

  const at = (event) => {
    const box = chart.getBoundingClientRect();
    return Math.min(Math.max(event.clientX - box.left, 0), box.width - 1);
  };
  const barAt = (x) => bars[Math.floor((x / chart.clientWidth) * bars.length)];
  const range = (x) => [barAt(Math.min(from, x)), barAt(Math.max(from, x))];

  chart.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.pointerType === "touch") return;
    from = at(event);
    dragged = false;
  });
  addEventListener("pointermove", (event) => {
    if (from === null) return;
    const x = at(event);
    dragged ||= Math.abs(x - from) > LEAST_DRAG_PX;
    brush.hidden = !dragged;
    brush.style.left = `${Math.min(from, x)}px`;
    brush.style.width = `${Math.abs(x - from)}px`;
  });
  addEventListener("pointerup", (event) => {
    if (from === null) return;
    const [first, last] = range(at(event));
    from = null;
    if (!dragged) return;
    location.assign(changed({ since: first.dataset.start, until: last.dataset.end }));
  });
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || from === null) return;
    from = null;
    brush.hidden = true;
  });
  // A drag ends on a bar too: that is no click on it. And a link must not be dragged away.
  chart.addEventListener("click", (event) => { if (dragged) event.preventDefault(); });
  chart.addEventListener("dragstart", (event) => event.preventDefault());
}

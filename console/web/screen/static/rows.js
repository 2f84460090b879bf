// The rows of the table: which one is current, and where the focus was before a filter was chosen.

const FOCUS = "auditbus.focus";

export const rows = () => [...document.querySelectorAll("#rows > .row")];
export const currentRow = () => document.querySelector("#rows > .row.current");

/** Make the row `steps` further the current one, and put the focus on it. */
export function moveTo(steps) {
  const all = rows();
  if (!all.length) return null;
  const place = all.indexOf(currentRow());
  const next = place < 0 ? (steps > 0 ? 0 : all.length - 1) : place + steps;
  const row = all[Math.min(Math.max(next, 0), all.length - 1)];
  setCurrent(row);
  row.querySelector("a").focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
  return row;
}

export function setCurrent(row) {
  currentRow()?.classList.remove("current");
  row?.classList.add("current");
}

export function startRows() {
  document.getElementById("rows")?.addEventListener("focusin", (event) => {
    setCurrent(event.target.closest(".row"));
  });
  // A facet's link loads a page: the focus stays on the same link, the sidebar where it was.
  const sidebar = document.getElementById("sidebar");
  document.addEventListener("click", (event) => {
    const key = event.target.closest("a[data-key]")?.dataset.key;
    if (key) keep({ key, top: sidebar?.scrollTop ?? 0 });
  });
  restoreFocus();
}

/** Put the focus back, once; what is not there yet may come with the numbers. */
export function restoreFocus() {
  const kept = JSON.parse(read() ?? "null");
  if (!kept) return;
  const link = [...document.querySelectorAll("a[data-key]")].find((a) => a.dataset.key === kept.key);
  if (!link) return;
  forget();
  document.getElementById("sidebar")?.scrollTo(0, kept.top);
  link.focus({ preventScroll: true, focusVisible: false });
}

// Embedded in another site's page, the browser may refuse any storage.
function read() {
  try { return sessionStorage.getItem(FOCUS); } catch { return null; }
}
function keep(value) {
  try { sessionStorage.setItem(FOCUS, JSON.stringify(value)); } catch { /* the focus starts at the top */ }
}
function forget() {
  try { sessionStorage.removeItem(FOCUS); } catch { /* nothing was kept */ }
}

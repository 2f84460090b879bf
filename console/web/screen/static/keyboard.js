// Single keys. They can be switched off (WCAG 2.1.4), and mean nothing where one types.
import { toggleHelp } from "./dialogs.js";
import { toggleLive } from "./live.js";
import { closePanel, isOpen, openRow } from "./panel.js";
import { currentRow, moveTo } from "./rows.js";

const SWITCH = "auditbus.keys";

export function startKeyboard() {
  const box = document.getElementById("keys-on");
  box.checked = read() !== "off";
  box.addEventListener("change", () => write(box.checked ? "on" : "off"));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.key === "Escape") escape(event);
    else if (box.checked && !isTyping(event.target)) press(event);
  });
}

const step = (steps) => {
  const row = moveTo(steps);
  if (row && isOpen()) openRow(row);
};
const follow = (rel) => document.querySelector(`.paging a[rel="${rel}"]`)?.click();
const KEYS = {
  "/": () => { const field = document.getElementById("search"); field?.focus(); field?.select(); },
  "?": toggleHelp,
  j: () => step(1),
  k: () => step(-1),
  n: () => follow("next"),
  p: () => follow("prev"),
  l: toggleLive,
};

function press(event) {
  const action = KEYS[event.key];
  const help = document.getElementById("help");
  if (!action || (help.open && event.key !== "?")) return;
  event.preventDefault();
  action();
}

function escape(event) {
  if (isTyping(event.target)) event.target.blur();
  else if (location.hash === "#sidebar") location.hash = "";
  else if (isOpen() && !document.getElementById("help").open) closePanel();
}

function isTyping(target) {
  return target.matches("input:not([type=checkbox]), textarea, select, [contenteditable]");
}

function read() {
  try { return localStorage.getItem(SWITCH); } catch { return null; }
}
function write(value) {
  try { localStorage.setItem(SWITCH, value); } catch { /* it holds for this page */ }
}

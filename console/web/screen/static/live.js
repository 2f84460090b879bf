// The live tail: new rows on top. While it is paused, or someone reads, they are only counted.
import { announce } from "./address.js";
import { isOpen } from "./panel.js";

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const LABELS = {
  off: "Live", connecting: "Connecting", live: "Live", paused: "Paused", stopped: "Stopped",
};
const MOST_ROWS = 200;
const SHOW_EVERY_MS = 400;
const SAY_EVERY_MS = 5000;

let button;
let source = null;
let isPaused = false;
let waiting = [];
let unsaid = 0;
let saidAt = 0;

export function startLive() {
  button = document.getElementById("live");
  if (!button || button.disabled) return;
  button.addEventListener("click", toggleLive);
  document.getElementById("fresh-show").addEventListener("click", () => {
    scrollTo({ top: 0 });
    insert();
  });
  setInterval(tick, SHOW_EVERY_MS);
  if (new URLSearchParams(location.search).has("live")) toggleLive();
}

/** Off, live, paused, live, …; the address says whether a view is live. */
export function toggleLive() {
  if (!button || button.disabled) return;
  // Closed by refusal, not by a broken line, which it mends by itself.
  if (!source || source.readyState === EventSource.CLOSED) connect();
  else isPaused = !isPaused;
  if (!isPaused) insert();
  render();
}

function connect() {
  source = new EventSource(`/api/v1/tail?${button.dataset.query}`);
  source.addEventListener("message", (message) => receive(message.data));
  source.addEventListener("open", render);
  source.addEventListener("error", render);
  const url = new URL(location.href);
  url.searchParams.set("live", "1");
  if (!isOpen()) history.replaceState(history.state, "", url);
}

function receive(data) {
  const event = JSON.parse(data);
  if (document.querySelector(`#rows > [data-id="${CSS.escape(event.id)}"]`)) return;
  if (waiting.some((other) => other.id === event.id)) return;
  waiting.push(event);
}

function tick() {
  if (!source) return;
  if (!isPaused && !isBeingRead()) insert();
  render();
  if (unsaid && Date.now() - saidAt > SAY_EVERY_MS) {
    announce(`${unsaid} new event${unsaid === 1 ? "" : "s"}`);
    saidAt = Date.now();
    unsaid = 0;
  }
}

/** Is someone looking at a row that would move away? */
function isBeingRead() {
  const rows = document.getElementById("rows");
  return scrollY > 4 || isOpen() || document.hidden || Boolean(rows?.matches(":hover, :focus-within"));
}

function insert() {
  const rows = document.getElementById("rows");
  if (!waiting.length) return;
  if (!rows) { location.reload(); return; } // the page said that there was nothing
  unsaid += waiting.length;
  const fresh = waiting.slice(-MOST_ROWS).map(rowOf);
  waiting = [];
  for (const row of fresh) place(rows, row);
  for (const row of [...rows.children].slice(MOST_ROWS)) row.remove();
  render();
}

/** Newest first also where an event was stored late. */
function place(rows, row) {
  const later = [...rows.children].find((other) => other.dataset.time <= row.dataset.time);
  rows.insertBefore(row, later ?? null);
}

function rowOf(event) {
  const template = document.getElementById("row-template").content.querySelector("tr");
  const row = document.importNode(template, true);
  const time = new Date(event.occurred_at);
  const { actor = {}, account = {}, error = {} } = notNull(event);
  const hasFailed = event.outcome === "failure" || (!event.outcome && Boolean(event.error));
  row.dataset.id = event.id;
  row.dataset.time = time.toISOString();
  row.classList.add("arrived");
  row.classList.toggle("failed", hasFailed);
  const [date, clock] = local(time);
  const stamp = row.querySelector("time");
  stamp.dateTime = row.dataset.time;
  stamp.title = `${date} ${clock} ${button.dataset.zone}`;
  stamp.querySelector(".date").textContent = date;
  stamp.lastElementChild.textContent = clock;
  const link = row.querySelector("a");
  const address = `/events/${encodeURIComponent(event.id)}`;
  link.setAttribute("href", address + link.getAttribute("href").slice("/events/".length));
  link.title = event.action;
  link.querySelector("bdi").textContent = event.action;
  fill(row, "description", event.description);
  fill(row, "account", account.name || account.id);
  fill(row, "user", actor.name || actor.email || actor.id || actor.type);
  fill(row, "ip", event.context?.ip);
  fill(row, "device", event.device?.label);
  fill(row, "location", event.location?.label);
  fill(row, "error", error.message || error.code || (hasFailed ? "Failed" : ""));
  return row;
}

function notNull(event) {
  return Object.fromEntries(Object.entries(event).filter(([, value]) => value !== null));
}

function fill(row, column, text) {
  if (!text) return;
  const cell = row.querySelector(`[data-cell="${column}"]`);
  const isolated = document.createElement("bdi");
  isolated.textContent = text;
  cell.title = text;
  cell.append(isolated);
}

/** The server's way of writing a time: `22 Nov`, with the year in full where it is not this one. */
function local(time) {
  const [year, month, day, clock] = numbersOf(time);
  const isThisYear = year === numbersOf(new Date())[0];
  return [isThisYear ? `${Number(day)} ${MONTHS[month - 1]}` : `${year}-${month}-${day}`, clock];
}

function numbersOf(time) {
  const style = { timeZone: button.dataset.zone, dateStyle: "short", timeStyle: "medium" };
  return new Intl.DateTimeFormat("sv-SE", style).format(time).split(/[- ]/); // 2026-11-22 21:43:53
}

function stateNow() {
  if (!source) return "off";
  if (source.readyState === EventSource.CLOSED) return "stopped";
  if (source.readyState === EventSource.CONNECTING) return "connecting";
  return isPaused ? "paused" : "live";
}

function render() {
  const state = stateNow();
  button.setAttribute("aria-pressed", String(["connecting", "live"].includes(state)));
  button.dataset.state = state;
  button.querySelector(".live-label").textContent = LABELS[state];
  const fresh = document.getElementById("fresh");
  fresh.hidden = !waiting.length || !(isPaused || isBeingRead());
  if (!fresh.hidden) {
    const text = `${waiting.length} new event${waiting.length === 1 ? "" : "s"}`;
    const show = document.getElementById("fresh-show");
    if (show.textContent !== text) show.textContent = text;
  }
}

// One event, opened beside the table. Its address is the event's own.
import { currentRow, setCurrent } from "./rows.js";

const PHONE = "(max-width: 720px)";
let dialog;
let content;
let asked = 0;

export const isOpen = () => dialog?.open ?? false;

export function startPanel() {
  dialog = document.getElementById("panel");
  content = document.getElementById("panel-content");
  if (!dialog) return;
  document.getElementById("rows")?.addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    const wantsOther = event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0;
    if (!row || wantsOther || String(getSelection())) return;
    event.preventDefault();
    openRow(row);
  });
  dialog.addEventListener("click", (event) => {
    if (event.target.closest("[data-close]") || event.target === dialog) closePanel();
  });
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    closePanel();
  });
  history.replaceState({ ...history.state, list: true }, "");
  addEventListener("popstate", (event) => {
    if (event.state?.event) show(event.state.event);
    else hide();
  });
  if (history.state?.event) history.replaceState({ list: true }, "");
}

/** Open the event of a row; a second one takes the place of the first in the history. */
export function openRow(row) {
  setCurrent(row);
  const url = row.querySelector("a").href;
  const state = { event: url };
  if (history.state?.event) history.replaceState(state, "", url);
  else history.pushState(state, "", url);
  return show(url);
}

export function closePanel() {
  if (history.state?.event) history.back();
  else hide();
}

async function show(url) {
  const mine = ++asked;
  const address = new URL(url);
  address.pathname += "/panel";
  let text;
  try {
    const answer = await fetch(address, { headers: { Accept: "text/html" } });
    if (answer.redirected) throw new Error("signed out");
    if (!answer.headers.get("content-type")?.startsWith("text/html")) throw new Error(answer.status);
    text = await answer.text();
  } catch {
    location.assign(url); // its own page says what is wrong
    return;
  }
  if (mine !== asked) return;
  const page = new DOMParser().parseFromString(text, "text/html");
  content.replaceChildren(...[...page.body.childNodes].map((node) => document.adoptNode(node)));
  const id = address.pathname.split("/")[2];
  for (const row of document.querySelectorAll("#rows > .row")) row.classList.toggle("opened", row.dataset.id === id);
  if (!dialog.open) {
    if (matchMedia(PHONE).matches) dialog.showModal();
    else dialog.show();
  }
  content.querySelector("h2").focus();
}

function hide() {
  asked++;
  if (!dialog.open) return;
  dialog.close();
  document.querySelector("#rows > .row.opened")?.classList.remove("opened");
  currentRow()?.querySelector("a").focus({ preventScroll: true });
}

// How far the exports are: looked at again until all are over. Without scripts, reload the page.
import { announce } from "./address.js";

const OWN = `/exports/own${location.search}`;
const EVERY_MS = 1000;
const unfinished = () => "unfinished" in document.getElementById("own").dataset;

async function look() {
  const own = document.getElementById("own");
  try {
    const answer = await fetch(OWN, { headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (own.contains(document.activeElement)) return; // nobody loses the button under the finger
    own.replaceWith(document.adoptNode(page.getElementById("own")));
  } catch {
    return; // looked at again
  }
  if (!unfinished()) announce("The export is finished.");
}

async function follow() {
  while (unfinished()) {
    await new Promise((wake) => setTimeout(wake, EVERY_MS));
    await look();
  }
}

follow();

// Histogram and facets, which the page did not wait for.
import { startChart } from "./chart.js";
import { restoreFocus } from "./rows.js";

export async function startNumbers() {
  const chart = document.getElementById("chart");
  if (!chart?.dataset.numbers) return;
  await painted();
  let text;
  try {
    const answer = await fetch(chart.dataset.numbers, { headers: { Accept: "text/html" } });
    if (answer.redirected) throw new Error("signed out");
    if (!answer.headers.get("content-type")?.startsWith("text/html")) throw new Error(answer.status);
    text = await answer.text();
  } catch {
    chart.removeAttribute("aria-busy");
    chart.querySelector(".waiting-text").textContent = "Events could not be counted; load the page again.";
    return;
  }
  const page = new DOMParser().parseFromString(text, "text/html");
  for (const id of ["chart", "facets"]) {
    const [old, fresh] = [document.getElementById(id), page.getElementById(id)];
    if (old && fresh) old.replaceWith(document.adoptNode(fresh));
  }
  startChart();
  restoreFocus();
}

/** The rows first: counting would compete with them. A page in the background is not painted. */
function painted() {
  if (document.hidden) return Promise.resolve();
  return new Promise((done) => { requestAnimationFrame(() => setTimeout(done)); });
}

// Menus, the help, copying; and forms that send nothing empty.
import { announce } from "./address.js";

export function startDialogs() {
  const help = document.getElementById("help");
  document.getElementById("help-open")?.addEventListener("click", () => help.showModal());
  help.addEventListener("click", (event) => { if (event.target === help) help.close(); });
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
    const copy = event.target.closest("[data-copy]");
    if (copy) copyText(copy);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const menu = document.activeElement?.closest("details.menu[open]");
    if (menu) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
  document.addEventListener("submit", (event) => {
    for (const field of event.target.querySelectorAll("input[name]")) field.disabled = !field.value.trim();
  });
  // Coming back, the browser may show the form as it was left.
  addEventListener("pageshow", () => {
    for (const field of document.querySelectorAll("form input:disabled")) field.disabled = false;
  });
}

export function toggleHelp() {
  const help = document.getElementById("help");
  if (help.open) help.close();
  else help.showModal();
}

async function copyText(button) {
  const label = button.querySelector("span");
  try {
    await navigator.clipboard.writeText(document.querySelector(button.dataset.copy).textContent);
    label.textContent = "Copied";
    announce("Copied");
  } catch {
    label.textContent = "Not allowed";
  }
  setTimeout(() => { label.textContent = "Copy"; }, 1600);
}

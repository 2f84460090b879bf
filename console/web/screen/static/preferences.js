// Theme and time zone: kept in cookies, so that the server renders them and nothing flashes.

const YEAR_S = 31536000;

export function startPreferences() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  for (const link of document.querySelectorAll("[data-zone]")) {
    if (link.tagName !== "A") continue;
    const name = link.dataset.zone === "local" ? zone : link.dataset.zone;
    const url = new URL(link.href);
    url.searchParams.set("tz", name);
    link.href = url;
    if (link.dataset.zone === "local") link.title = `The time zone of this computer: ${zone}`;
    link.addEventListener("click", () => keep("auditbus_tz", name));
  }
  document.getElementById("theme")?.addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    keep("auditbus_theme", root.dataset.theme);
  });
}

function keep(name, value) {
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `${name}=${value}; path=/; max-age=${YEAR_S}; samesite=lax${secure}`;
}

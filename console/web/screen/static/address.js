// The address of a view, made as the server makes it, so that equal views have equal addresses.

/** Return the current address with parameters replaced, or removed by null, from its first page. */
export function changed(changes) {
  const url = new URL(location.href);
  for (const name of ["older_than", "newer_than", ...Object.keys(changes)]) url.searchParams.delete(name);
  for (const [name, value] of Object.entries(changes)) {
    if (value !== null) url.searchParams.append(name, value);
  }
  return url.pathname + url.search;
}

/** Say something to screen readers once they have finished what they say. */
export function announce(text) {
  const announcer = document.getElementById("announcer");
  announcer.textContent = "";
  requestAnimationFrame(() => { announcer.textContent = text; });
}

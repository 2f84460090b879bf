// A link's token is in its fragment, which no server sees. It goes out of the address bar and the
// history before anything else, and into the form.
const token = new URLSearchParams(location.hash.slice(1)).get("token");
if (token) {
  history.replaceState(null, "", location.pathname + location.search);
  const form = document.getElementById("by-token");
  form.elements.token.value = token;
  form.requestSubmit();
}

// Before the first paint: the theme that was chosen last, or the system's. (A file, since the
// content-security policy allows no inline script.)
(function () {
  var chosen = null;
  try {
    chosen = JSON.parse(localStorage.getItem("headwater.theme") || "null");
  } catch (_unreadable) {
    chosen = null;
  }
  var dark = chosen === "dark" || (chosen !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
})();

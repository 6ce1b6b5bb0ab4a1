// Menus of the header close when one clicks elsewhere, leaves them by keyboard, or presses Escape.
// Also lets the browser keep the shell for the offline page.

const menus = () => document.querySelectorAll("details.menu[open]");

document.addEventListener("click", (event) => {
  for (const menu of menus()) if (!menu.contains(event.target)) menu.open = false;
});

document.addEventListener("focusin", (event) => {
  for (const menu of menus()) if (!menu.contains(event.target)) menu.open = false;
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of menus()) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

if ("serviceWorker" in navigator && window.isSecureContext)
  addEventListener("load", () => navigator.serviceWorker.register("/sw.js").catch(() => undefined));

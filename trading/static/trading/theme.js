// The theme and palette: kept in cookies that the server reads, so that a page comes in its colours at once.
// Any button with data-theme-choice or data-palette-choice chooses; "appearance" on document tells of every change.

const YEAR_SECONDS = 365 * 24 * 3600;
const root = document.documentElement;
const systemIsLight = matchMedia("(prefers-color-scheme: light)");

/** The colours in force: {theme: "dark"|"light", palette: "standard"|"colour-blind"}. */
export function appearance() {
  return {
    theme: root.dataset.theme ?? (systemIsLight.matches ? "light" : "dark"),
    palette: root.dataset.palette ?? "standard",
  };
}

/** Choose "dark", "light" or "system". */
export function chooseTheme(theme) {
  if (theme === "system") delete root.dataset.theme;
  else root.dataset.theme = theme;
  keep("theme", theme === "system" ? "" : theme);
  changed();
}

/** Choose "standard" or "colour-blind". */
export function choosePalette(palette) {
  root.dataset.palette = palette;
  keep("palette", palette);
  changed();
}

function keep(name, value) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  const age = value ? YEAR_SECONDS : 0;
  document.cookie = `${name}=${value}; Path=/; Max-Age=${age}; SameSite=Lax${secure}`;
}

function changed() {
  mark();
  document.dispatchEvent(new CustomEvent("appearance", { detail: appearance() }));
}

function mark() {
  for (const button of document.querySelectorAll("[data-theme-choice]"))
    button.setAttribute("aria-pressed", button.dataset.themeChoice === (root.dataset.theme ?? "system"));
  for (const button of document.querySelectorAll("[data-palette-choice]"))
    button.setAttribute("aria-pressed", button.dataset.paletteChoice === appearance().palette);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-theme-choice], [data-palette-choice]");
  if (button?.dataset.themeChoice) chooseTheme(button.dataset.themeChoice);
  else if (button) choosePalette(button.dataset.paletteChoice);
});
systemIsLight.addEventListener("change", changed);

// A page from the offline store was made for nobody.
const chosen = /(?:^|; )theme=(dark|light)(?:;|$)/.exec(document.cookie);
if (chosen) root.dataset.theme = chosen[1];
mark();

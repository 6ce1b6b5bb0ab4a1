// Unfold keeps its theme in the browser's storage, our other pages in a cookie that the server reads: each follows the
// other. Not a module: it must run before Alpine does.

(() => {
  const YEAR_SECONDS = 365 * 24 * 3600;
  const stored = () => JSON.parse(localStorage.getItem("adminTheme") ?? '"auto"');
  const chosen = /(?:^|; )theme=(dark|light)(?:;|$)/.exec(document.cookie);
  localStorage.setItem("adminTheme", JSON.stringify(chosen ? chosen[1] : "auto"));

  const keep = () => {
    const theme = stored() === "auto" ? "" : stored();
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `theme=${theme}; Path=/; Max-Age=${theme ? YEAR_SECONDS : 0}; SameSite=Lax${secure}`;
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  };
  keep();
  document.addEventListener("click", () => setTimeout(keep));
  document.addEventListener("keydown", () => setTimeout(keep));
})();

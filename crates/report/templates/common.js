// What every page adds when scripts run: copying, a theme, and everything opened for printing.
(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("js");
  const all = (selector) => Array.from(document.querySelectorAll(selector));
  const live = document.getElementById("live");

  // Theme: the system's until the button is pressed; remembered where the browser allows it.
  const remember = (value) => {
    try {
      if (value !== undefined) localStorage.setItem("haechi-theme", value);
      return localStorage.getItem("haechi-theme");
    } catch {
      return null;
    }
  };
  const remembered = remember();
  if (remembered === "light" || remembered === "dark") root.dataset.theme = remembered;
  document.getElementById("theme").addEventListener("click", () => {
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    const now = root.dataset.theme || system;
    root.dataset.theme = now === "dark" ? "light" : "dark";
    remember(root.dataset.theme);
  });

  // Copy: the command beside the button.
  const select = (node) => {
    const range = document.createRange();
    range.selectNodeContents(node);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest(".copy");
    if (!button) return;
    const code = button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      select(code);
      if (!document.execCommand("copy")) return;
    }
    const word = button.textContent;
    button.textContent = live.dataset.copied;
    live.textContent = live.dataset.copied;
    setTimeout(() => { button.textContent = word; live.textContent = ""; }, 1600);
  });

  // On paper everything is open; afterwards it is as it was.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = all("details:not([open])");
    closed.forEach((node) => { node.open = true; });
  });
  addEventListener("afterprint", () => { closed.forEach((node) => { node.open = false; }); });
})();

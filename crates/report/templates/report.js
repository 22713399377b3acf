// What the report adds when scripts run: filters and search.
(() => {
  "use strict";
  const all = (selector, within = document) => Array.from(within.querySelectorAll(selector));
  const byId = (id) => document.getElementById(id);
  const live = byId("live");

  // Filters: within a group any of the pressed chips, between groups all of them, and the search words.
  const form = byId("filters");
  const search = byId("search");
  const chips = all(".chip", form);
  const items = all(".item").map((node) => ({ node, text: null }));
  const parts = all(".part");
  const pressed = (kind) =>
    chips.filter((c) => c.dataset.kind === kind && c.getAttribute("aria-pressed") === "true")
      .map((c) => c.dataset.value);
  const press = (chip, on) => chip.setAttribute("aria-pressed", String(on));
  const apply = () => {
    const [status, area, severity] = ["status", "area", "severity"].map(pressed);
    const words = search.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const item of items) {
      const data = item.node.dataset;
      let fits = (!status.length || status.includes(data.status))
        && (!severity.length || severity.includes(data.severity))
        && (!area.length || area.some((a) => data.area.split(" ").includes(a)));
      if (fits && words.length) {
        item.text ??= item.node.textContent.toLocaleLowerCase();
        fits = words.every((word) => item.text.includes(word));
      }
      item.node.hidden = !fits;
      shown += fits ? 1 : 0;
    }
    for (const part of parts) part.hidden = !part.querySelector(".item:not([hidden])");
    byId("none").hidden = shown > 0;
    byId("shown").textContent =
      live.dataset.count.replace("{shown}", shown).replace("{all}", items.length);
  };
  form.addEventListener("click", (event) => {
    const chip = event.target.closest(".chip");
    if (!chip) return;
    press(chip, chip.getAttribute("aria-pressed") !== "true");
    apply();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => {
    chips.forEach((chip) => press(chip, false));
    setTimeout(apply);
  });
  let wait;
  search.addEventListener("input", () => { clearTimeout(wait); wait = setTimeout(apply, 120); });
  for (const link of all("a[data-area]")) {
    link.addEventListener("click", () => {
      search.value = "";
      for (const chip of chips) press(chip, link.dataset[chip.dataset.kind] === chip.dataset.value);
      apply();
    });
  }
  byId("open-all").addEventListener("click", () => {
    for (const { node } of items) if (!node.hidden) node.open = true;
  });
  byId("close-all").addEventListener("click", () => { for (const { node } of items) node.open = false; });
  apply();

  // A link to an item shows and opens it, whatever is filtered.
  const reach = () => {
    const target = location.hash.length > 1 && byId(decodeURIComponent(location.hash.slice(1)));
    if (!target || !target.matches(".item")) return;
    if (target.hidden) form.reset();
    target.hidden = false;
    target.closest(".part").hidden = false;
    target.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", reach);
  reach();
})();

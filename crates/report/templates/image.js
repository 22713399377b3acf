// The page about one image: its vulnerabilities by rating and by words.
(() => {
  "use strict";
  const form = document.getElementById("flaw-filters");
  if (!form) return;
  const search = document.getElementById("flaw-search");
  const shown = document.getElementById("flaw-shown");
  const chips = Array.from(form.querySelectorAll(".chip"));
  const rows = Array.from(document.querySelectorAll(".flaws tbody tr")).map((node) => ({ node, text: null }));
  const apply = () => {
    const ratings = chips.filter((c) => c.getAttribute("aria-pressed") === "true").map((c) => c.dataset.value);
    const words = search.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      let fits = !ratings.length || ratings.includes(row.node.dataset.rating);
      if (fits && words.length) {
        row.text ??= row.node.textContent.toLocaleLowerCase();
        fits = words.every((word) => row.text.includes(word));
      }
      row.node.hidden = !fits;
      count += fits ? 1 : 0;
    }
    shown.textContent = shown.dataset.count.replace("{shown}", count).replace("{all}", rows.length);
  };
  form.addEventListener("click", (event) => {
    const chip = event.target.closest(".chip");
    if (!chip) return;
    chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
    apply();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  let wait;
  search.addEventListener("input", () => { clearTimeout(wait); wait = setTimeout(apply, 120); });
  apply();
})();

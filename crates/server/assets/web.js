// What pages add when scripts run: news without reloading, copying, times of the reader's zone, a menu on the phone.
(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("js");
  const all = (selector, within = document) => Array.from(within.querySelectorAll(selector));
  const start = () => {
    const live = document.getElementById("live");
    let quiet;
    const say = (words) => {
      live.textContent = words;
      clearTimeout(quiet);
      quiet = setTimeout(() => { live.textContent = ""; }, 6000);
    };

    // Times: of the reader's own zone; the exact one stays in the title.
    const minute = {
      year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
    };
    const rough = new Intl.DateTimeFormat(root.lang, minute);
    const exact = new Intl.DateTimeFormat(root.lang, { ...minute, second: "2-digit" });
    const localize = (within) => {
      for (const node of all("time[datetime*='T']", within)) {
        const at = new Date(node.dateTime);
        // On paper nobody can tell whose zone it was.
        if (Number.isNaN(at.getTime()) || node.title || node.closest(".paper")) continue;
        node.title = node.textContent;
        node.textContent = (node.classList.contains("exact") ? exact : rough).format(at);
      }
    };
    localize(document);

    // Copying: the command beside the button.
    document.addEventListener("click", async (event) => {
      const button = event.target.closest(".copy");
      if (!button) return;
      const code = button.previousElementSibling;
      try {
        await navigator.clipboard.writeText(code.textContent);
      } catch {
        const range = document.createRange();
        range.selectNodeContents(code);
        const selection = getSelection();
        selection.removeAllRanges();
        selection.addRange(range);
        if (!document.execCommand("copy")) return;
      }
      const word = button.textContent;
      button.textContent = live.dataset.copied;
      say(live.dataset.copied);
      setTimeout(() => { button.textContent = word; }, 1600);
    });

    // The menu of narrow screens.
    const menu = document.getElementById("menu");
    if (menu) {
      const turn = (open) => {
        menu.setAttribute("aria-expanded", String(open));
        root.classList.toggle("menu-open", open);
      };
      menu.addEventListener("click", () => turn(menu.getAttribute("aria-expanded") !== "true"));
      addEventListener("keydown", (event) => {
        if (event.key === "Escape" && menu.getAttribute("aria-expanded") === "true") {
          turn(false);
          menu.focus();
        }
      });
    }
    // A filter is used when it is chosen; text when it is sent.
    for (const form of all("form.filters")) {
      form.addEventListener("change", (event) => {
        if (event.target.matches("select")) form.requestSubmit();
      });
      // What was left empty need not be in the address.
      form.addEventListener("submit", () => {
        for (const field of all("input, select", form)) if (!field.value) field.disabled = true;
      });
    }
    addEventListener("pageshow", () => {
      for (const field of all("form.filters :disabled")) field.disabled = false;
    });
    for (const button of all("[data-print]")) button.addEventListener("click", () => print());

    // On paper everything is open; afterwards it is as it was.
    let closed = [];
    addEventListener("beforeprint", () => {
      closed = all(".paper details:not([open])");
      for (const node of closed) node.open = true;
    });
    addEventListener("afterprint", () => { for (const node of closed) node.open = false; });

    // News: the server says that there is some; the parts of this page that can change are fetched again.
    const parts = all("[data-live]");
    const marks = all("[data-live-mark]");
    const stream = document.body.dataset.stream;
    if (!stream || !parts.length || !globalThis.EventSource) return;
    const GAP = 1500;
    let due, last = 0, busy = false, again = false;
    const refresh = async () => {
      if (busy) { again = true; return; }
      busy = true;
      again = false;
      last = Date.now();
      try {
        const answer = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "error" });
        if (!answer.ok) return;
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        // A page that has other parts now, as after the first verification, is shown anew.
        const names = (page) => all("[data-live]", page).map((node) => node.id).join();
        if (names(fresh) !== names(document)) {
          if (!document.activeElement?.closest("form")) location.reload();
          return;
        }
        for (const part of all("[data-live]")) {
          const next = fresh.getElementById(part.id);
          // What somebody is reading with the keyboard, or has opened, is not taken away.
          if (!next || part.contains(document.activeElement) || part.querySelector("details[open]")) continue;
          const known = new Set(all("[data-number]", part).map((node) => node.dataset.number));
          const now = document.importNode(next, true);
          localize(now);
          if (part.dataset.shown === next.innerHTML) continue;
          now.dataset.shown = next.innerHTML;
          if (known.size) {
            for (const node of all("[data-number]", now)) {
              if (!known.has(node.dataset.number)) node.classList.add("fresh");
            }
          }
          part.replaceWith(now);
        }
      } catch {
        // The stream tells when the server is away, and when it is back.
      } finally {
        busy = false;
        if (again) soon();
      }
    };
    const soon = () => {
      clearTimeout(due);
      due = setTimeout(refresh, Math.max(150, GAP - (Date.now() - last)));
    };
    let source;
    const mark = (on) => { for (const node of marks) node.classList.toggle("on", on); };
    const listen = () => {
      source = new EventSource(stream);
      let lost = false;
      source.addEventListener("open", () => {
        mark(true);
        if (lost) { say(live.dataset.back); soon(); }
        lost = false;
      });
      // A session that has ended shows nothing more: what is on the page may not be true any more.
      const leave = () => location.assign("/login?next=" + encodeURIComponent(location.pathname + location.search));
      source.addEventListener("error", async () => {
        mark(false);
        if (!lost) say(live.dataset.lost);
        lost = true;
        if (!source || source.readyState !== EventSource.CLOSED) return;
        // Refused for good, or for now: the session says which.
        const session = await fetch("/api/v1/session", { redirect: "error" }).catch(() => undefined);
        if (session?.status === 401) { leave(); return; }
        setTimeout(() => { if (!document.hidden) listen(); }, 5000);
      });
      for (const kind of ["alert", "action", "verification"]) {
        source.addEventListener(kind, () => { say(live.dataset[kind]); soon(); });
      }
      source.addEventListener("job", soon);
    };
    // A page that nobody looks at holds no stream.
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) {
        if (source) source.close();
        source = undefined;
        mark(false);
      } else if (!source) {
        listen();
        soon();
      }
    });
    addEventListener("pagehide", () => { if (source) source.close(); source = undefined; });
    if (!document.hidden) listen();
  };
  if (document.readyState === "loading") addEventListener("DOMContentLoaded", start);
  else start();
})();

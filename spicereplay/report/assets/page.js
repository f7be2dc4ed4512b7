// What the page does but for its charts: colour scheme, sortable tables, paper. All text is set as text, never as
// HTML. `page` is what `timeline.js` needs of it.
"use strict";
const page = (() => {
  const one = (selector, within = document) => within.querySelector(selector);
  const every = (selector, within = document) => [...within.querySelectorAll(selector)];
  const root = document.documentElement;
  const redraws = []; // called whenever colours change

  // ---- colour scheme -------------------------------------------------------------------------------------------

  const schemes = ["system", "light", "dark"];
  const schemeButton = one("#scheme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let printing = false;

  function setScheme(name) {
    if (name === "system") delete root.dataset.scheme;
    else root.dataset.scheme = name;
    recolour();
  }
  function recolour() {
    colours.clear();
    for (const redraw of redraws) redraw();
  }
  schemeButton.hidden = false;
  schemeButton.addEventListener("click", () => {
    const label = one("span", schemeButton);
    label.textContent = schemes[(schemes.indexOf(label.textContent) + 1) % schemes.length];
    setScheme(label.textContent);
  });
  dark.addEventListener("change", recolour);

  // A canvas cannot resolve light-dark(); an element's computed colour can.
  const colours = new Map();
  const probe = document.body.appendChild(document.createElement("i"));
  probe.hidden = true;
  function colour(name) {
    if (!colours.has(name)) {
      probe.style.color = `var(--${name})`;
      colours.set(name, getComputedStyle(probe).color);
    }
    return colours.get(name);
  }

  // ---- tables --------------------------------------------------------------------------------------------------

  const NONE = "–";
  for (const table of every("table")) {
    every("thead th", table).forEach((head, column) => {
      const button = one("button", head);
      if (button) button.addEventListener("click", () => sort(table, head, column));
    });
  }
  function sort(table, head, column) {
    const numeric = head.classList.contains("n");
    // The largest numbers are what people look for, and the first words.
    const first = numeric ? "descending" : "ascending";
    const second = numeric ? "ascending" : "descending";
    const order = head.getAttribute("aria-sort") === first ? second : first;
    every("th[aria-sort]", table).forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const keyed = every("tbody tr", table).map((row) => {
      const text = row.cells[column].textContent.trim();
      const missing = text === NONE || text === "";
      return [row, missing, numeric ? parseFloat(text.replaceAll(",", "")) : text];
    });
    keyed.sort(([, noA, a], [, noB, b]) => {
      if (noA || noB) return noA - noB; // what was not seen stays at the end, whichever way
      return sign * (numeric ? a - b : a < b ? -1 : a > b ? 1 : 0);
    });
    one("tbody", table).append(...keyed.map(([row]) => row));
  }

  // ---- paper ---------------------------------------------------------------------------------------------------

  let before = null;
  addEventListener("beforeprint", () => {
    printing = true;
    const details = every("main details");
    before = { scheme: root.dataset.scheme || "system", closed: details.filter((d) => !d.open) };
    before.closed.forEach((d) => (d.open = true));
    setScheme("light");
  });
  addEventListener("afterprint", () => {
    printing = false;
    before.closed.forEach((d) => (d.open = false));
    setScheme(before.scheme);
  });

  return { one, every, colour, redraws, isPrinting: () => printing };
})();

"use strict";
// Conveniences only: the page says everything without this script.
for (const table of document.querySelectorAll("table.sortable")) {
  for (const head of table.querySelectorAll("th[data-sort]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(table, head));
  }
}

function sort(table, head) {
  const column = [...head.parentNode.children].indexOf(head);
  const down = head.getAttribute("aria-sort") === "ascending";
  const numeric = head.dataset.sort === "number";
  const key = (row) => {
    const cell = row.children[column];
    const text = cell.dataset.value ?? cell.textContent.trim();
    return numeric ? (text === "" ? Infinity : Number(text)) : text;
  };
  const order = (a, b) => (numeric ? a - b : a.localeCompare(b, undefined, { numeric: true }));
  const missing = (value) => value === Infinity;
  const rows = [...table.tBodies[0].rows].sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (missing(x) || missing(y)) return missing(x) - missing(y);
    return down ? order(y, x) : order(x, y);
  });
  table.tBodies[0].append(...rows);
  for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
}

// Filters of the trials; what is of hidden trials alone goes elsewhere, too.
for (const form of document.querySelectorAll("form.filters")) {
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const kind of ["input", "change"]) form.addEventListener(kind, () => filter(form));
  form.addEventListener("reset", () => setTimeout(() => filter(form)));
  filter(form);
}

function filter(form) {
  const asked = Object.fromEntries(new FormData(form));
  const name = asked.name.trim().toLowerCase();
  const rows = [...document.getElementById(form.dataset.rows).rows];
  const gone = new Set();
  for (const row of rows) {
    const factors = JSON.parse(row.dataset.factors);
    const fits = Object.entries(asked).every(([key, value]) => !value || !(key in factors) || factors[key] === value);
    const named = row.cells[0].textContent.toLowerCase().includes(name);
    if (!fits || !named || (asked.pareto && !("pareto" in row.dataset))) gone.add(row.dataset.trial);
  }
  for (const row of document.querySelectorAll("[data-trial]")) row.hidden = gone.has(row.dataset.trial);
  for (const row of document.querySelectorAll("[data-pair]")) {
    row.hidden = row.dataset.pair.split(" ").some((trial) => gone.has(trial));
  }
  for (const table of document.querySelectorAll("table.agreement")) hideColumns(table, gone);
  hideFlips(gone);
  form.querySelector("output").textContent = `${rows.length - gone.size} of ${rows.length} trials`;
}

// A cell of the agreement is of two trials: its row goes by itself, its column here.
function hideColumns(table, gone) {
  const trials = [...table.tHead.rows[0].cells].map((cell) => cell.dataset.trial);
  for (const row of table.tBodies[0].rows) {
    for (const cell of row.cells) cell.hidden = gone.has(trials[cell.cellIndex]);
  }
}

// An image is flipped as long as the trials that are left give two answers.
function hideFlips(gone) {
  for (const image of document.querySelectorAll(".flipped")) {
    const answers = [...image.querySelectorAll(".said")];
    for (const answer of answers) answer.hidden = !answer.querySelector("[data-trial]:not([hidden])");
    image.hidden = answers.filter((answer) => !answer.hidden).length < 2;
  }
  for (const list of document.querySelectorAll(".rows[data-trials]")) {
    const left = new Set(JSON.parse(list.dataset.trials).flatMap((trial, place) => (gone.has(trial) ? [] : [String(place)])));
    for (const row of list.children) {
      const said = [...row.querySelectorAll("[data-by]")].filter((answer) => answer.dataset.by.split(" ").some((place) => left.has(place)));
      row.hidden = said.length < 2;
    }
  }
}

// Paper cannot be clicked open. What would take very many sheets stays as the reader left it.
let closed = [];
addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open], .as-is)")];
  for (const details of closed) details.open = true;
});
addEventListener("afterprint", () => {
  for (const details of closed) details.open = false;
});

// The section in view is marked in the bar.
if ("IntersectionObserver" in window) {
  const links = new Map();
  for (const link of document.querySelectorAll("nav a[href^='#']")) links.set(link.hash.slice(1), link);
  const observer = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        for (const link of links.values()) link.removeAttribute("aria-current");
        links.get(entry.target.id)?.setAttribute("aria-current", "true");
      }
    },
    { rootMargin: "-20% 0px -70% 0px" },
  );
  for (const section of document.querySelectorAll("#verdict, main > section")) observer.observe(section);
}

"use strict";
// All text from data enters the page through textContent, never as HTML.

function element(name, attributes, ...children) {
  const isSvg = ["svg", "g", "path", "rect", "text", "title"].includes(name);
  const node = isSvg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// ---- tables

// what is not available comes last, whichever way the others are sorted
function compareCells(one, other, descending) {
  if (one === "" || other === "") return Number(one === "") - Number(other === "");
  const bothNumbers = one !== "" && other !== "" && !Number.isNaN(Number(one)) && !Number.isNaN(Number(other));
  const order = bothNumbers ? Number(one) - Number(other) : one.localeCompare(other);
  return descending ? -order : order;
}

function sortBy(table, column) {
  const headings = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const valueOf = (row) => column > 0 ? row.cells[column].dataset.value : row.cells[0].textContent;
  const isText = column === 0 || rows.some((row) => row.cells[column].classList.contains("words"));
  const descending = isText ? headings[column].ariaSort === "ascending" : headings[column].ariaSort !== "descending";
  for (const heading of headings) heading.ariaSort = "none";
  headings[column].ariaSort = descending ? "descending" : "ascending";
  body.append(...rows.sort((a, b) => compareCells(valueOf(a), valueOf(b), descending)));
}

for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    heading.firstChild.addEventListener("click", () => sortBy(table, column));
  });
}

// ---- charts: a key lights up its line, or hides it, in the chart below or in all that share the legend

for (const key of document.querySelectorAll(".keys button")) {
  const charts = [...key.closest(".linked, figure").querySelectorAll(".chart")];
  const lines = charts.flatMap((chart) => [...chart.querySelectorAll("g[data-series]")])
    .filter((group) => group.dataset.series === key.dataset.series);
  const light = (on) => {
    for (const chart of charts) chart.classList.toggle("one", on);
    for (const line of lines) line.classList.toggle("lit", on);
  };
  for (const name of ["pointerenter", "focus"]) key.addEventListener(name, () => light(true));
  for (const name of ["pointerleave", "blur"]) key.addEventListener(name, () => light(false));
  key.addEventListener("click", () => {
    const shown = key.getAttribute("aria-pressed") !== "true";
    key.setAttribute("aria-pressed", String(shown));
    for (const line of lines) line.style.display = shown ? "" : "none";
  });
}

// ---- suspected label errors: the name of an image opens it in the gallery, where that has it

for (const link of document.querySelectorAll("a[data-image]")) {
  link.addEventListener("click", (event) => {
    if (!window.openImage) return;
    event.preventDefault();
    window.openImage(link.dataset.image);
  });
}

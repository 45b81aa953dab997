"use strict";
// All text from data enters the page through textContent, never as HTML.

function element(name, attributes, ...children) {
  const isSvg = ["svg", "rect", "text", "title"].includes(name);
  const node = isSvg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// ---- tables and charts

for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => heading.firstChild.addEventListener("click", () => {
    const descending = column > 0 ? heading.ariaSort !== "descending" : heading.ariaSort === "ascending";
    headings.forEach((other) => { other.ariaSort = "none"; });
    heading.ariaSort = descending ? "descending" : "ascending";
    const rows = [...table.tBodies[0].rows].sort((a, b) => column > 0
      ? Number(a.cells[column].dataset.value) - Number(b.cells[column].dataset.value)
      : a.cells[0].textContent.localeCompare(b.cells[0].textContent));
    table.tBodies[0].append(...(descending ? rows.reverse() : rows));
  }));
}

for (const key of document.querySelectorAll(".keys button")) {
  const chart = key.closest("figure").querySelector(".chart");
  const line = [...chart.querySelectorAll("g[data-series]")].find((group) => group.dataset.series === key.dataset.series);
  const light = (on) => { chart.classList.toggle("one", on); line.classList.toggle("lit", on); };
  for (const name of ["pointerenter", "focus"]) key.addEventListener(name, () => light(true));
  for (const name of ["pointerleave", "blur"]) key.addEventListener(name, () => light(false));
  key.addEventListener("click", () => {
    const shown = key.getAttribute("aria-pressed") !== "true";
    key.setAttribute("aria-pressed", String(shown));
    line.style.display = shown ? "" : "none";
  });
}

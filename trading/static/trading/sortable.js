// A table marked data-sortable is sorted by the headings marked data-sort ("text" or "number"), ascending, then
// descending. Numbers are compared as the decimals that the cells show; cells without one come last.

import { compareDecimals } from "./format.js";

const shownNumber = (text) => /-?\d+(\.\d+)?/.exec(text.replaceAll(",", "").replaceAll("\u2212", "-"))?.[0];

const ORDERS = {
  text: (a, b) => a.localeCompare(b, "en"),
  number: (a, b) => compareDecimals(a, b),
};

function sort(table, heading) {
  const column = [...heading.parentElement.children].indexOf(heading);
  const downwards = heading.getAttribute("aria-sort") === "ascending";
  const body = table.tBodies[0];
  const valueOf = (row) => {
    const text = row.children[column].textContent.trim();
    return heading.dataset.sort === "number" ? shownNumber(text) : text;
  };
  const rows = [...body.rows].map((row) => ({ row, value: valueOf(row) }));
  const order = ORDERS[heading.dataset.sort];
  rows.sort((a, b) => {
    if (a.value === undefined || b.value === undefined) return (a.value === undefined) - (b.value === undefined);
    return downwards ? order(b.value, a.value) : order(a.value, b.value);
  });
  body.append(...rows.map(({ row }) => row));
  for (const other of table.querySelectorAll("[aria-sort]")) other.setAttribute("aria-sort", "none");
  heading.setAttribute("aria-sort", downwards ? "descending" : "ascending");
}

for (const table of document.querySelectorAll("table[data-sortable]"))
  for (const heading of table.querySelectorAll("th[data-sort]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...heading.childNodes);
    heading.append(button);
    heading.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => sort(table, heading));
  }

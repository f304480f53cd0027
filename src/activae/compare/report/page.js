"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of heads) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    const of = row => row.cells[column].dataset.v;
    body.append(...[...body.rows].sort((a, b) => {
      const [x, y] = [of(a), of(b)], [p, q] = [Number(x), Number(y)];
      if ((x === "") !== (y === "")) return x === "" ? 1 : -1;  // what is missing comes last
      return sign * (Number.isNaN(p - q) && p !== q ? x.localeCompare(y) : p === q ? 0 : p - q);
    }));
  }));
}

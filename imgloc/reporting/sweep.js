"use strict";
const table = document.getElementById("points-table");
const body = table.tBodies[0];
const heads = [...table.tHead.rows[0].cells];
function compare(a, b) {
  if (a === "" || b === "") return (a === "") - (b === "");
  const x = Number(a), y = Number(b);
  return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
}
heads.forEach((head, column) => {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...head.childNodes);
  head.append(button);
  button.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = row => row.cells[column].dataset.value;
    const rows = [...body.rows].sort((a, b) => {
      const empty = (value(a) === "") - (value(b) === "");
      return empty || (down ? -1 : 1) * compare(value(a), value(b));
    });
    body.append(...rows);
  });
});
function mark(event) {
  const near = event.target.closest("[data-point]");
  const point = near ? near.dataset.point : "";
  document.querySelectorAll("[data-point]").forEach(each => each.classList.toggle("on", each.dataset.point === point));
  document.body.classList.toggle("marking", near !== null);
}
document.addEventListener("pointerover", mark);
document.addEventListener("focusin", mark);

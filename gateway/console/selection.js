// The rows of the keys that are shown, and which keys are selected, here or on other pages.

import { byId, copy, counted, el } from "./dom.js";
import { keyButton, valueCells } from "./rows.js";

const all = /** @type {HTMLInputElement} */ (byId("select-page"));

/** @type {Map<string, HTMLTableRowElement>} The rows that are shown. */
export const rows = new Map();

/** @type {Set<string>} */
export const selected = new Set();

/** The row of a key, the same as long as the key is shown. @param {string} key */
export function rowOf(key) {
  const before = rows.get(key);
  if (before) {
    /** @type {HTMLInputElement} */ (before.querySelector("input")).checked = selected.has(key);
    return before;
  }
  const box = el("input", { type: "checkbox", checked: selected.has(key), "aria-label": `Select ${key || "the empty key"}`, onchange: () => {
    if (box.checked) selected.add(key);
    else selected.delete(key);
    showSelection();
  } });
  return el("tr", {}, el("td", { class: "check" }, box), el("th", { scope: "row" }, keyButton(key)),
    el("td", { class: "preview" }, "…"), el("td", { class: "size" }));
}

/** Shows a value in its row. @param {HTMLTableRowElement} row @param {import("./bytes.js").Value | null} value */
export function put(row, value) {
  // The other cells stay where they are: an element that is moved loses the focus.
  const [preview, bytes] = valueCells(value);
  row.cells[2].replaceWith(preview);
  row.cells[3].replaceWith(bytes);
}

/** Shows how many keys are selected. */
export function showSelection() {
  byId("selection").hidden = !selected.size;
  const elsewhere = [...selected].filter((key) => !rows.has(key)).length;
  byId("selected-count").textContent = `${counted(selected.size, "key")} selected${elsewhere ? `, ${elsewhere.toLocaleString("en")} not shown here` : ""}`;
  const here = selected.size - elsewhere;
  all.checked = here > 0 && here === rows.size;
  all.indeterminate = here > 0 && here < rows.size;
}

/** Ticks or clears the boxes of all rows. @param {boolean} checked */
function tick(checked) {
  for (const row of rows.values()) /** @type {HTMLInputElement} */ (row.querySelector("input")).checked = checked;
}

byId("copy-selected").onclick = () => copy([...selected].join("\n"), counted(selected.size, "key"));
byId("clear-selected").onclick = () => {
  selected.clear();
  tick(false);
  showSelection();
};
all.onchange = () => {
  for (const key of rows.keys()) {
    if (all.checked) selected.add(key);
    else selected.delete(key);
  }
  tick(all.checked);
  showSelection();
};

// Rows of keys with their values, as they are listed and as many keys are read.

import { Value, sizeText, toHex } from "./bytes.js";
import { el, keyText, visible } from "./dom.js";
import { openValue } from "./value.js";

const PREVIEW = 160;
/* Characters, or three times as many bytes in hex. */

/** A key, as a button that opens its value. @param {string} key */
export function keyButton(key) {
  return el("button", { type: "button", class: "link", onclick: () => openValue(key) }, keyText(key));
}

/** The start of a value. @param {Value | null} value */
export function previewOf(value) {
  if (value === null) return el("i", {}, "missing");
  if (value.size === 0) return el("i", {}, "empty");
  if (value.text === null) {
    const start = toHex(value.bytes.subarray(0, PREVIEW / 3));
    return el("span", { class: "bytes" }, el("small", {}, "hex"), " ", start);
  }
  return el("bdi", {}, ...visible(value.text.slice(0, PREVIEW)), value.text.length > PREVIEW && "…");
}

/** The cells of the value and of its size. @param {Value | null} value */
export function valueCells(value) {
  return [
    el("td", { class: "preview" }, previewOf(value)),
    el("td", { class: "size" }, value === null ? "–" : sizeText(value.size)),
  ];
}

/** Arrow keys move between the keys of a table. @param {HTMLElement} body */
export function arrows(body) {
  body.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const focused = document.activeElement;
    if (!step || !(focused instanceof HTMLElement) || !focused.matches("button.link")) return;
    const buttons = [...body.querySelectorAll("button.link")];
    const next = buttons[buttons.indexOf(focused) + step];
    if (next instanceof HTMLElement) {
      event.preventDefault();
      next.focus();
    }
  });
}

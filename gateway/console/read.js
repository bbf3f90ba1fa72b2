// Reads many keys that are pasted.

import { access } from "./access.js";
import { readMany } from "./api.js";
import { Value } from "./bytes.js";
import { showCurl } from "./curl.js";
import { byId, counted, el } from "./dom.js";
import { errorBox, isAbort } from "./problems.js";
import { arrows, keyButton, valueCells } from "./rows.js";
import { download } from "./save.js";
import { go } from "./views.js";
import { addRows } from "./write.js";

const MOST_SHOWN = 1_000;
/* Rows of the answer. */

const MOST_HELD = 200 * 1024 * 1024;
/* Characters of the answer that are held for the download. */

const area = /** @type {HTMLTextAreaElement} */ (byId("read-keys"));

function format() {
  return /** @type {HTMLInputElement} */ (document.querySelector("[name=read-format]:checked")).value;
}

/**
 * The keys that were typed.
 * @param {string} text
 * @param {string} how "lines" or "json".
 * @returns {string[]}
 * @throws {Error} The text is not what it should be.
 */
export function keysOf(text, how) {
  if (how === "lines") return text.split("\n").filter((line) => line !== "");
  let found;
  try {
    const document = JSON.parse(text);
    found = Array.isArray(document) ? document : document?.keys ?? document?.pairs ?? [document];
    if (!Array.isArray(found)) found = [document];
  } catch {
    found = text.split("\n").map((line, index) => {
      try {
        return line.trim() ? JSON.parse(line) : null;
      } catch {
        throw new Error(`Line ${index + 1} is not JSON. Write ["a", "b"], or {"key": "a"} in each line.`);
      }
    }).filter((each) => each !== null && !each.end);
  }
  return found.map((each, index) => {
    const key = typeof each === "string" ? each : each?.key;
    if (typeof key !== "string") throw new Error(`Item ${index + 1} is no key. Write ["a", "b"], or {"key": "a"} in each line.`);
    return key;
  });
}

/** @type {AbortController | null} */
let reading = null;

/** Opens pairs in the table of Write, with the values that they have now. @param {string[]} keys */
async function editFound(keys) {
  try {
    const pairs = [];
    for await (const pair of readMany(keys)) pairs.push(pair);
    if (await go("write")) addRows(pairs);
  } catch (error) {
    byId("read-result").prepend(errorBox(error));
  }
}

byId("read-form").onsubmit = async (event) => {
  event.preventDefault();
  const note = byId("read-note");
  const result = byId("read-result");
  reading?.abort();
  reading = new AbortController();
  const abort = reading;
  result.replaceChildren();
  byId("read-curl").replaceChildren();
  let keys;
  try {
    keys = keysOf(area.value, format());
    if (!keys.length) throw new Error("Type or paste keys first.");
  } catch (error) {
    note.textContent = error instanceof Error ? error.message : String(error);
    return area.focus();
  }
  showCurl("read-curl", [["Read these keys", { path: "/get-many", json: { keys } }]]);
  const body = el("tbody");
  arrows(body);
  /** @type {import("./bytes.js").Pair[]} */
  const pairs = [];
  let found = 0;
  let held = 0;
  let read = 0;
  /** @type {unknown} */
  let error = null;
  const stop = el("button", { type: "button", onclick: () => abort.abort() }, "Stop");
  result.replaceChildren(el("div", { class: "bar" }, stop));
  note.textContent = "Reading…";
  try {
    for await (const pair of readMany(keys, abort.signal)) {
      read++;
      if (pair.value !== null) found++;
      held += pair.key.length + (pair.value ?? "").length;
      if (held <= MOST_HELD) pairs.push(pair);
      if (read % 1000 === 0) note.textContent = `${counted(read, "key")} of ${keys.length.toLocaleString("en")}…`;
    }
  } catch (caught) {
    error = caught;
  }
  if (reading !== abort) return undefined; // another read has begun
  result.replaceChildren(...(error === null || isAbort(error) ? [] : [errorBox(error)]));
  const early = error === null ? "" : `Stopped after ${counted(read, "key")} of ${keys.length.toLocaleString("en")}. `;
  note.textContent = `${early}${counted(found, "key")} found, ${(read - found).toLocaleString("en")} missing.`;
  if (!pairs.length) return undefined;
  for (const pair of pairs.slice(0, MOST_SHOWN)) {
    body.append(el("tr", {}, el("th", { scope: "row" }, keyButton(pair.key)), ...valueCells(Value.of(pair))));
  }
  const present = pairs.filter((pair) => pair.value !== null);
  const keep = () => download(new Blob(present.map((pair) => JSON.stringify(pair) + "\n")), "pairs.ndjson");
  result.append(
    el("div", { class: "bar" },
      el("button", { type: "button", disabled: !present.length || pairs.length < read, onclick: keep }, "Download the pairs found"),
      el("button", { type: "button", disabled: present.length === 0 || present.length > MOST_SHOWN, onclick: () => editFound(present.map((pair) => pair.key)) }, "Edit in the table")),
    el("table", { class: "keys" }, el("caption", { class: "hidden" }, "Keys that were read"),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Key"), el("th", { scope: "col", class: "preview" }, "Value"), el("th", { scope: "col", class: "size" }, "Size"))), body),
    pairs.length > MOST_SHOWN ? el("p", { class: "note" }, `The first ${counted(MOST_SHOWN, "key")} are shown.`) : "",
  );
  return undefined;
};
access.addEventListener("store", () => {
  reading?.abort();
  reading = null;
  byId("read-note").textContent = "";
  byId("read-result").replaceChildren(); // it is of another store
  byId("read-curl").replaceChildren();
});

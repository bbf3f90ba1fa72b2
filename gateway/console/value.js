// One value: shown as text, JSON or hex, copied, downloaded, edited and deleted.

import { deleteMany, readOne, session } from "./api.js";
import { ask, mayDiscard } from "./ask.js";
import { Value, hexDump, sizeText } from "./bytes.js";
import { showCurl } from "./curl.js";
import { byId, copy, el, keyText, say } from "./dom.js";
import { edit } from "./edit.js";
import { indentJson } from "./json_text.js";
import { errorBox } from "./problems.js";
import { download, fileName } from "./save.js";

const TEXT_SHOWN = 200_000;
/* Characters of a value that are shown at once. */

const HEX_SHOWN = 16_384;
/* Bytes. */

const INDENTED_AT_MOST = 4_000_000;
/* Characters of JSON. */

/** @typedef {"Text" | "JSON" | "Hex"} View */

/** Tells of "changed" and "deleted", with the keys. */
export const values = new EventTarget();

/** @param {string[]} keys Keys that have other values now. */
export function tellChanged(keys) {
  values.dispatchEvent(new CustomEvent("changed", { detail: keys }));
}

/** @param {string[]} keys */
export function tellDeleted(keys) {
  values.dispatchEvent(new CustomEvent("deleted", { detail: keys }));
}

/** @type {{ store: string, key: string, value: Value | null, opener: Element | null } | null} */
let shown = null;

/** The key whose value is shown; null for none. */
export function openKey() {
  return shown?.key ?? null;
}

/** Marks the row whose value is shown. @param {Element | null} button */
function mark(button) {
  for (const each of document.querySelectorAll("button.link[aria-current]")) each.removeAttribute("aria-current");
  if (button instanceof HTMLElement && button.matches("button.link")) button.setAttribute("aria-current", "true");
}

/** Opens the panel with the value of a key. @param {string} key */
export async function openValue(key) {
  if (!(await mayDiscard("value"))) return;
  const opener = byId("value").contains(document.activeElement) ? shown?.opener ?? null : document.activeElement;
  const mine = (shown = { store: session.store, key, value: /** @type {Value | null} */ (null), opener });
  mark(opener);
  byId("value").hidden = false;
  document.body.classList.add("value-open");
  byId("value-key").replaceChildren(keyText(key));
  byId("value-about").textContent = "Reading…";
  byId("value-body").replaceChildren();
  byId("value-key").focus();
  try {
    mine.value = Value.of(await readOne(key));
    if (shown === mine) showValue();
  } catch (error) {
    if (shown !== mine) return;
    byId("value-about").textContent = "";
    byId("value-body").replaceChildren(errorBox(error, el("button", { type: "button", onclick: () => openValue(key) }, "Read again")));
  }
}

/**
 * Closes the panel, unless something unsaved is kept.
 * @param {boolean} [back] Whether the focus goes back to where the panel was opened.
 * @returns {Promise<boolean>} Whether it is closed.
 */
export async function closeValue(back = true) {
  if (!(await mayDiscard("value"))) return false;
  const opener = shown?.opener;
  shown = null;
  mark(null);
  byId("value").hidden = true;
  document.body.classList.remove("value-open");
  if (back && opener instanceof HTMLElement && opener.isConnected) opener.focus();
  return true;
}

/** Shows the value that was read. @param {View} [view] */
function showValue(view) {
  if (!shown) return;
  const { key, value } = shown;
  const body = byId("value-body");
  if (value === null) {
    byId("value-about").textContent = "This key is not in the store.";
    body.replaceChildren(el("div", { class: "bar" }, el("button", { type: "button", onclick: startEdit }, "Add it")));
    return;
  }
  byId("value-about").textContent = `${sizeText(value.size)}, ${value.text === null ? "not UTF-8" : "UTF-8 text"}`;
  const chosen = view ?? (value.text === null ? "Hex" : "Text");
  const output = el("div", { class: "output" });
  const tabs = (/** @type {View[]} */ (value.text === null ? ["Hex"] : ["Text", "JSON", "Hex"])).map((each) =>
    el("button", { type: "button", "aria-pressed": each === chosen, onclick: () => showValue(each) }, each));
  body.replaceChildren(
    el("div", { class: "bar" }, el("span", { class: "segmented", role: "group", "aria-label": "Shown as" }, ...tabs),
      el("span", { class: "grow" }),
      el("button", { type: "button", onclick: () => copyAs(value, chosen) }, "Copy"),
      el("button", { type: "button", onclick: () => download(new Blob([/** @type {BlobPart} */ (value.bytes)]), fileName(key, value.text === null ? ".bin" : ".txt")) }, "Download")),
    output,
    el("div", { class: "bar" }, el("button", { type: "button", class: "primary", onclick: startEdit }, "Edit"),
      el("span", { class: "grow" }),
      el("button", { type: "button", class: "danger", onclick: remove }, "Delete…")),
    el("div", { id: "value-problem" }),
    el("div", { id: "value-curl" }),
  );
  output.replaceChildren(...outputOf(value, chosen));
  const bytes = value.text === null;
  showCurl("value-curl", [
    ["Read this value into a file", {
      path: "/get-many",
      query: { encoding: "base64" },
      json: { keys: [key] },
      then: `| jq -r '.pairs[0].value' | base64 -d > value${bytes ? ".bin" : ".txt"}`,
    }],
    ["Delete this key", { path: "/delete-many", json: { keys: [key] } }],
  ]);
  body.querySelector("[aria-pressed=true]")?.scrollIntoView({ block: "nearest" });
}

/** @param {Value} value @param {View} view @returns {HTMLElement[]} */
function outputOf(value, view) {
  if (view === "Hex") return more(value.size, HEX_SHOWN, (start, end) => hexDump(value.bytes, start, end), "hex");
  let text = value.text ?? "";
  if (view === "JSON") {
    if (text.length > INDENTED_AT_MOST) return [el("p", { class: "note" }, "This value is too long to be indented here. Download it.")];
    try {
      text = indentJson(text);
    } catch (error) {
      return [el("p", { class: "note" }, `This value is not JSON: ${error instanceof Error ? error.message : error}`)];
    }
  }
  if (text === "") return [el("p", { class: "note" }, "The value is empty.")];
  return more(text.length, TEXT_SHOWN, (start, end) => text.slice(start, end), "text");
}

/**
 * A long text, of which the start is shown, and more on demand.
 * @param {number} size @param {number} step @param {(start: number, end: number) => string} part @param {string} kind
 */
function more(size, step, part, kind) {
  let end = Math.min(step, size);
  const pre = el("pre", { class: kind, tabIndex: 0, role: "region", "aria-label": "The value", dir: "auto" }, part(0, end));
  const button = el("button", { type: "button" }, "");
  const update = () => {
    button.hidden = end >= size;
    button.textContent = `Show more (${Math.floor((100 * end) / size)} % is shown)`;
  };
  button.onclick = () => {
    const next = Math.min(end + step, size);
    pre.append((kind === "hex" ? "\n" : "") + part(end, next));
    end = next;
    update();
  };
  update();
  return [pre, button];
}

/** @param {Value} value @param {View} view */
function copyAs(value, view) {
  if (view === "Hex") return copy(value.as("hex"), "the value in hex");
  try {
    return copy(view === "JSON" ? indentJson(value.text ?? "") : value.text ?? "", "the value");
  } catch {
    return say("This value is not JSON.");
  }
}

/** Shows the editor instead of the value. */
function startEdit() {
  if (!shown) return;
  const mine = shown;
  const back = () => {
    if (shown !== mine) return;
    showValue();
    byId("value-key").focus();
  };
  edit(byId("value-body"), mine, {
    written: (value) => {
      mine.value = value;
      back();
      tellChanged([mine.key]);
      say("Written.");
    },
    cancelled: back,
  });
}

async function remove() {
  if (!shown) return;
  const { key, store } = shown;
  const yes = await ask({ title: "Delete 1 key?", text: [el("p", {}, keyText(key)), el("p", {}, `It is deleted from the store ${store}. This cannot be undone.`)], yes: "Delete 1 key", danger: true });
  if (!yes) return;
  try {
    await deleteMany([key], store);
    say("Deleted 1 key.");
    await closeValue();
    tellDeleted([key]);
  } catch (error) {
    byId("value-problem").replaceChildren(errorBox(error));
  }
}

// The keys of a store: by prefix, page by page, with the values of the page.

import { access, askToken, tokenReason } from "./access.js";
import { ProblemError, listKeys, prefixQuery, readMany, session } from "./api.js";
import { Value } from "./bytes.js";
import { connection, Lost } from "./connection.js";
import { showCurl } from "./curl.js";
import { byId, counted, el, keyText, visible } from "./dom.js";
import { errorBox, isAbort } from "./problems.js";
import { deleteByPrefix, deleteSelected } from "./remove.js";
import { arrows } from "./rows.js";
import { put, rowOf, rows, selected, showSelection } from "./selection.js";
import { values } from "./value.js";
import { go } from "./views.js";
import { addRows } from "./write.js";

const SCANNED_PAGE = 10_000;
/* Keys of one page of a search. The API gives no more at once. */

const MOST_FOUND = 1_000;
/* Keys that a search shows. */

const MOST_BYTES = 32 * 1024 * 1024;
/* Bytes of the values of a page. Further values are read when they are opened. */

const prefix = /** @type {HTMLInputElement} */ (byId("prefix"));
const filter = /** @type {HTMLInputElement} */ (byId("filter"));
const size = /** @type {HTMLSelectElement} */ (byId("page-size"));
const body = byId("keys-body");

/** What is listed. */
const page = {
  prefix: "",
  /** @type {(string | null)[]} The `after` of this page and of those before it. */
  path: [null],
  /** @type {string[]} */
  keys: [],
  /** @type {string | null} */
  next: null,
  /** @type {{ text: string, found: number, seen: number, whole: boolean } | null} The search that found the keys; null for a page of the list. */
  search: null,
};

let listing = new AbortController();

/** Lists or searches again what was asked last. */
let refresh = () => list([null]);

/** Begins something that ends what ran before. */
function begun() {
  listing.abort();
  listing = new AbortController();
  byId("keys-problem").replaceChildren();
  return listing.signal;
}

/**
 * Lists a page. The filter stays.
 * @param {(string | null)[]} path The `after` of the page and of those before it.
 * @param {string} asked The prefix.
 */
async function list(path, asked = page.prefix) {
  const signal = begun();
  refresh = () => list(path, asked);
  byId("keys-note").textContent = "Reading…";
  try {
    const answer = await listKeys(asked, path[path.length - 1], Number(size.value), signal);
    Object.assign(page, { prefix: asked, path, keys: answer.keys, next: answer.next, search: null });
    showPage();
    await fill(answer.keys, signal);
  } catch (error) {
    fail(error);
  }
}

/** Lists the first page of the prefix that is typed. */
export function listTyped() {
  return list([null], prefix.value);
}

/** Reads the values of the keys that are shown. @param {string[]} keys @param {AbortSignal} signal */
async function fill(keys, signal) {
  if (!keys.length) return;
  let bytes = 0;
  for await (const pair of readMany(keys, signal)) {
    const row = rows.get(pair.key);
    bytes += (pair.value ?? "").length;
    if (row) put(row, Value.of(pair));
    if (bytes > MOST_BYTES) {
      byId("keys-problem").replaceChildren(el("p", { class: "note" }, "The values of this page are large. Those that are not shown are read when you open their keys."));
      return;
    }
  }
}

/** @param {unknown} error */
function fail(error) {
  if (isAbort(error)) return;
  byId("keys-note").textContent = "";
  const again = el("button", { type: "button", onclick: () => refresh() }, "Try again");
  if (error instanceof Lost) {
    if (!page.keys.length) face("No connection", "The keys could not be read.", again);
    return;
  }
  if (error instanceof ProblemError && (error.problem.status === 401 || error.problem.status === 403)) {
    page.keys = [];
    page.next = null;
    rows.clear();
    body.replaceChildren();
    const token = el("button", { type: "button", class: "primary", onclick: () => askToken() }, "Enter a token");
    const title = error.problem.status === 401 ? "A token is needed" : "No access to this store";
    face(title, tokenReason(error.problem.detail), token);
    return;
  }
  if (page.keys.length) byId("keys-problem").replaceChildren(errorBox(error, again));
  else {
    byId("keys-list").hidden = true;
    byId("keys-face").replaceChildren(errorBox(error, again));
  }
}

/** Shows, instead of a list, what there is to do. @param {string} title @param {string | Node} text @param {...HTMLElement} actions */
function face(title, text, ...actions) {
  byId("keys-list").hidden = true;
  byId("keys-note").textContent = "";
  byId("keys-face").replaceChildren(
    el("div", { class: "face" }, el("h2", {}, title), el("p", {}, ...(typeof text === "string" ? visible(text) : [text])), el("div", { class: "bar" }, ...actions)),
  );
}

/** Shows the keys of the page that contain the text of the filter. */
function showPage() {
  const text = filter.value;
  const keys = page.search === null ? page.keys.filter((key) => key.includes(text)) : page.keys;
  const shown = keys.map((key) => /** @type {[string, HTMLTableRowElement]} */ ([key, rowOf(key)]));
  const focused = /** @type {HTMLElement | null} */ (document.activeElement);
  rows.clear();
  for (const [key, row] of shown) rows.set(key, row);
  body.replaceChildren(...rows.values());
  if (focused && body.contains(focused)) focused.focus(); // it was lost when its row was taken out
  byId("keys-face").replaceChildren();
  byId("keys-list").hidden = false;
  showNote(keys.length);
  showSelection();
  const first = page.path.length === 1;
  for (const [id, disabled] of /** @type {[string, boolean][]} */ ([["page-first", first], ["page-back", first], ["page-next", page.next === null]])) {
    const button = /** @type {HTMLButtonElement} */ (byId(id));
    button.disabled = disabled;
  }
  byId("page-text").textContent = `Page ${page.path.length}${page.next === null ? " (last)" : ""}`;
  byId("pager").hidden = page.search !== null || (first && page.next === null);
  if (!page.keys.length && page.search === null) showEmpty();
  showCurl("keys-curl", [
    ["List these keys", { path: "/keys", query: { prefix: page.prefix || null, after: page.path[page.path.length - 1], limit: size.value } }],
    ...(keys.length ? [/** @type {[string, import("./curl.js").Line]} */ (["Read their values", { path: "/get-many", json: { keys } }])] : []),
    ["Count the keys with this prefix", { method: "DELETE", path: "/keys", query: { ...prefixQuery(page.prefix), "dry-run": "true" } }],
  ]);
}

/** Says which keys are shown. @param {number} count Their number. */
function showNote(count) {
  const text = filter.value;
  /** @type {HTMLButtonElement} */ (byId("search-all")).disabled = !text;
  const note = byId("keys-note");
  if (page.search !== null) {
    const { text: sought, found, seen, whole } = page.search;
    const where = page.prefix ? ` with the prefix “${page.prefix}”` : "";
    note.textContent = whole
      ? `${counted(found, "key")} of all ${counted(seen, "key")}${where} contain${found === 1 ? "s" : ""} “${sought}”.`
      : `The first ${counted(count, "key")}${where} that contain “${sought}”, of ${counted(seen, "key")} that were searched. ` +
        "Use a longer text or a prefix.";
  } else if (text) {
    note.textContent = `${counted(count, "key")} of the ${page.keys.length.toLocaleString("en")} on this page ` +
      `contain${count === 1 ? "s" : ""} “${text}”. Other pages are not searched.`;
  } else {
    note.textContent = `${counted(count, "key")} on this page${page.next === null ? "" : "; more pages follow"}.`;
  }
}

function showEmpty() {
  if (page.path.length > 1) return face("No more keys", "The keys of this page are gone.", el("button", { type: "button", onclick: () => list([null]) }, "First page"));
  if (page.prefix) {
    const everything = () => {
      prefix.value = "";
      showDelete();
      listTyped();
    };
    return face("No key starts with this prefix", el("span", {}, keyText(page.prefix)), el("button", { type: "button", onclick: everything }, "Show all keys"));
  }
  return face("This store is empty", `The store ${session.store} has no keys. Write pairs here, import a file, or use curl.`,
    el("button", { type: "button", class: "primary", onclick: () => go("write") }, "Write pairs"),
    el("button", { type: "button", onclick: () => go("import") }, "Import a file"));
}

/** Searches the keys of all pages. @param {string} text */
async function search(text) {
  const signal = begun();
  const before = refresh;
  refresh = () => search(text);
  /** @type {string[]} */
  const found = [];
  let seen = 0;
  const note = byId("keys-note");
  const stop = el("button", { type: "button", onclick: () => listing.abort() }, "Stop");
  byId("keys-problem").replaceChildren(stop);
  try {
    let after = /** @type {string | null} */ (null);
    do {
      const answer = await listKeys(page.prefix, after, SCANNED_PAGE, signal);
      found.push(...answer.keys.filter((key) => key.includes(text)));
      seen += answer.keys.length;
      after = answer.next;
      note.textContent = `${counted(found.length, "key")} found in ${counted(seen, "key")}…`;
    } while (after !== null && found.length < MOST_FOUND);
    byId("keys-problem").replaceChildren();
    const whole = after === null && found.length <= MOST_FOUND;
    const keys = found.slice(0, MOST_FOUND);
    Object.assign(page, { path: [null], keys, next: null, search: { text, found: found.length, seen, whole } });
    showPage();
    await fill(keys, signal);
  } catch (error) {
    if (isAbort(error)) {
      if (listing.signal !== signal) return; // another list or search has begun
      refresh = before;
      byId("keys-problem").replaceChildren();
      note.textContent = `Stopped after ${counted(seen, "key")}. The list is unchanged.`;
    } else fail(error);
  }
}

/** Says what the button beside the prefix deletes. */
function showDelete() {
  byId("delete-prefix").textContent = prefix.value ? "Delete this prefix…" : "Delete all keys…";
}

/** Opens the selected pairs in the table of Write, with the values that they have now. */
async function editSelected() {
  try {
    const pairs = [];
    for await (const pair of readMany([...selected])) pairs.push(pair);
    if (await go("write")) addRows(pairs);
  } catch (error) {
    byId("keys-problem").replaceChildren(errorBox(error));
  }
}

byId("keys-form").onsubmit = (event) => {
  event.preventDefault();
  listTyped();
};
size.onchange = () => list([null]);
prefix.oninput = showDelete;
filter.oninput = () => {
  if (page.search === null) showPage();
  else if (!filter.value) list([null]);
};
filter.onkeydown = (event) => {
  if (event.key === "Enter" && filter.value) search(filter.value);
};
byId("search-all").onclick = () => search(filter.value);
byId("page-first").onclick = () => list([null]);
byId("page-back").onclick = () => list(page.path.slice(0, -1));
byId("page-next").onclick = () => list([...page.path, page.next]);
byId("delete-prefix").onclick = () => deleteByPrefix(prefix.value, () => refresh());
byId("delete-selected").onclick = () => deleteSelected(() => refresh());
byId("edit-selected").onclick = editSelected;
arrows(body);
addEventListener("keydown", async (event) => {
  const typing = event.target instanceof HTMLElement && event.target.matches("input, textarea, select");
  if (event.key !== "/" || typing || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  if (await go("keys")) filter.focus();
});
values.addEventListener("changed", (event) => {
  const keys = /** @type {CustomEvent<string[]>} */ (event).detail;
  if (page.search === null) refresh();
  else fill(keys.filter((key) => rows.has(key)), begun()).catch(fail);
});
values.addEventListener("deleted", (event) => {
  if (page.search === null) return refresh();
  const gone = new Set(/** @type {CustomEvent<string[]>} */ (event).detail);
  const left = page.keys.filter((key) => !gone.has(key));
  page.search.found -= page.keys.length - left.length;
  page.search.seen -= page.keys.length - left.length;
  page.keys = left;
  return showPage();
});
access.addEventListener("store", () => {
  selected.clear();
  page.keys = [];
  filter.value = "";
  listTyped();
});
access.addEventListener("again", () => refresh());
connection.addEventListener("back", () => {
  if (!page.keys.length) refresh();
});

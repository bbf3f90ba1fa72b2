// Writes pairs that are edited in a table.

import { access } from "./access.js";
import { ProblemError, session, setMany } from "./api.js";
import { mayDiscard, setUnsaved } from "./ask.js";
import { Value } from "./bytes.js";
import { showCurl, writeLine } from "./curl.js";
import { byId, counted, el, keyText, say } from "./dom.js";
import { ValueField } from "./field.js";
import { errorBox } from "./problems.js";
import { tellChanged } from "./value.js";
import { tasks } from "./views.js";

/** @typedef {import("./bytes.js").Pair} Pair */

/** A row of the table. A key that came from the store cannot be changed; its value can. */
class Row {
  /** @param {Pair | null} pair The pair that is edited; null for an empty row. @param {boolean} stored Whether the store has the pair. */
  constructor(pair, stored) {
    const value = (pair && Value.of(pair)) ?? new Value("", null);
    /** @type {string | null} */
    this.fixed = pair ? pair.key : null;
    this.written = stored;
    this.input = el("input", { "aria-label": "Key", placeholder: "Key", spellcheck: false, autocomplete: "off", autocapitalize: "off", oninput: changed, onpaste: pasted });
    this.field = new ValueField(value, { rows: 1, label: "Value", onchange: () => {
      this.grow();
      changed();
    } });
    this.state = el("span", { class: "note" });
    const remove = el("button", { type: "button", "aria-label": "Remove this row", onclick: () => this.remove() }, "✕");
    const { area, held, note, choice, pick, input } = this.field;
    this.element = el("tr", {}, el("td", { class: "fixed" }, this.fixed === null ? this.input : keyText(this.fixed)),
      el("td", {}, area, held, note), el("td", { class: "format" }, choice, pick, input),
      el("td", { class: "state" }, this.state, remove));
    this.grow();
  }

  get key() {
    return this.fixed ?? this.input.value;
  }

  get isEmpty() {
    return this.fixed === null && this.key === "" && this.field.isEmpty;
  }

  get isChanged() {
    return !this.isEmpty && (!this.written || this.field.isChanged);
  }

  /** @returns {Pair} @throws {Error} The value is not of its format. */
  pair() {
    return this.field.value().pair(this.key);
  }

  /** The pair as a curl line has it: a file by its name. @returns {import("./curl.js").Item} */
  item() {
    return this.field.file ? { key: this.key, file: this.field.file.name } : this.pair();
  }

  grow() {
    this.field.area.rows = Math.min(12, this.field.area.value.split("\n", 12).length);
  }

  /** @param {string} text @param {"applied" | "failed" | "left"} how */
  mark(text, how) {
    this.state.textContent = text;
    this.element.className = how;
    if (how !== "applied") return;
    if (this.fixed === null) {
      const written = this.input.value;
      this.fixed = written;
      this.element.cells[0].replaceChildren(keyText(written));
    }
    this.written = true;
    this.field.settle();
  }

  /** Of another store nothing is known: the pair of this row is new there. */
  forget() {
    this.written = false;
    this.state.textContent = "";
    this.element.className = "";
  }

  async remove() {
    if (this.isChanged) {
      setUnsaved("row", "The pair of this row is not written yet.");
      const discard = await mayDiscard("row");
      setUnsaved("row", null);
      if (!discard) return;
    }
    const index = rowsToWrite.indexOf(this);
    drop([this]);
    if (!rowsToWrite.length) add(null);
    rowsToWrite[Math.min(index, rowsToWrite.length - 1)].field.area.focus();
    changed();
  }
}

/** @type {Row[]} */
const rowsToWrite = [];

/** @param {Pair | null} pair @param {boolean} [stored] Whether the store has the pair. */
function add(pair, stored = false) {
  const row = new Row(pair, stored);
  rowsToWrite.push(row);
  byId("write-body").append(row.element);
  return row;
}

/** Takes rows out of the table. @param {Row[]} those */
function drop(those) {
  for (const row of those) {
    row.element.remove();
    rowsToWrite.splice(rowsToWrite.indexOf(row), 1);
  }
}

/**
 * Adds pairs of the store to the table, to be edited. A row with the same key that is not edited is replaced.
 * @param {Pair[]} pairs As they have just been read. One without a value is gone, and is left out.
 */
export function addRows(pairs) {
  const present = pairs.filter((pair) => pair.value !== null);
  const keys = new Set(present.map((pair) => pair.key));
  drop(rowsToWrite.filter((row) => row.isEmpty || (keys.has(row.key) && !row.isChanged)));
  const edited = new Set(rowsToWrite.map((row) => row.key));
  for (const pair of present) if (!edited.has(pair.key)) add(pair, true);
  if (!rowsToWrite.length) add(null);
  const gone = pairs.length - present.length;
  byId("write-note").textContent = gone ? `${counted(gone, "key is", "keys are")} no longer in the store.` : "";
  changed();
}

/** Takes rows of a spreadsheet, or NDJSON, that are pasted into a key. @param {ClipboardEvent} event */
function pasted(event) {
  const text = event.clipboardData?.getData("text/plain") ?? "";
  const lines = text.split(/\r?\n/).filter((line) => line !== "");
  if (lines.length < 2 && !text.includes("\t") && !text.startsWith("{")) return;
  /** @type {Pair[]} */
  let pairs;
  try {
    pairs = lines.map((line) => {
      const pair = JSON.parse(line);
      if (typeof pair.key !== "string" || typeof pair.value !== "string") throw new Error("no pair");
      return pair;
    });
  } catch {
    pairs = lines.map((line) => {
      const [key, ...value] = line.split("\t");
      return { key, value: value.join("\t") };
    });
  }
  event.preventDefault();
  drop(rowsToWrite.filter((row) => row.isEmpty));
  for (const pair of pairs) add(pair);
  changed();
  say(`${counted(pairs.length, "row")} pasted.`);
}

/** Shows what would be written. */
function changed() {
  const waiting = rowsToWrite.filter((row) => row.isChanged);
  setUnsaved("write", waiting.length ? `${counted(waiting.length, "pair")} in the table of Write ${waiting.length === 1 ? "is" : "are"} not written yet.` : null);
  const save = /** @type {HTMLButtonElement} */ (byId("write-save"));
  save.textContent = waiting.length ? `Write ${counted(waiting.length, "pair")} to ${session.store}` : "Nothing to write";
  save.disabled = !waiting.length;
  const badge = byId("write-count");
  badge.hidden = !waiting.length;
  badge.replaceChildren(waiting.length.toLocaleString("en"), el("span", { class: "hidden" }, " not written"));
  /** @type {import("./curl.js").Item[]} */
  let items = [];
  try {
    items = waiting.map((row) => row.item());
  } catch {
    // A value is not of its format yet.
  }
  if (items.length) showCurl("write-curl", [["Write these pairs", writeLine(items)]]);
  else byId("write-curl").replaceChildren();
}

/** The pairs to write, or null after saying what is wrong. @param {Row[]} waiting */
function checkedPairs(waiting) {
  const note = byId("write-note");
  /** @type {Map<string, number>} */
  const seen = new Map();
  for (const row of waiting) {
    const number = rowsToWrite.indexOf(row) + 1;
    try {
      if (row.key === "" && row.fixed === null) throw new Error(`Row ${number} has no key.`);
      if (seen.has(row.key)) throw new Error(`Rows ${seen.get(row.key)} and ${number} have the same key. Remove one.`);
      seen.set(row.key, number);
      row.pair();
    } catch (error) {
      note.textContent = `${error instanceof Error ? error.message : error}`;
      (row.fixed === null && row.key === "" ? row.input : row.field.area).focus();
      return null;
    }
  }
  note.textContent = "";
  return waiting.map((row) => row.pair());
}

/**
 * Marks the rows of a write that failed in part.
 * @param {Row[]} waiting In the order in which they were sent.
 * @param {import("./api.js").Problem} problem
 * @returns {string[]} The keys that were written.
 */
function markPartly(waiting, problem) {
  if (!problem.applied) return []; // nothing was written
  const failed = new Set((problem.failed ?? []).map((each) => each.key));
  const left = new Set(problem.not_attempted ?? []);
  const line = problem.resume_line ?? problem.line ?? Infinity; // of NDJSON, in which each row is a line
  const written = [];
  for (const [index, row] of waiting.entries()) {
    if (failed.has(row.key)) row.mark("failed", "failed");
    else if (left.has(row.key) || index + 1 >= line) row.mark("not written", "left");
    else {
      row.mark("written", "applied");
      written.push(row.key);
    }
  }
  return written;
}

async function write() {
  const { store } = session;
  await Promise.all(rowsToWrite.map((row) => row.field.ready));
  const waiting = rowsToWrite.filter((row) => row.isChanged);
  const pairs = checkedPairs(waiting);
  if (!pairs?.length) return;
  const note = byId("write-note");
  byId("write-problem").replaceChildren();
  note.textContent = "Writing…";
  try {
    await setMany(pairs, store);
    for (const row of waiting) row.mark("written", "applied");
    note.textContent = `${counted(pairs.length, "pair")} written to ${store}.`;
    say(`${counted(pairs.length, "pair")} written.`);
    tellChanged(pairs.map((pair) => pair.key));
  } catch (error) {
    note.textContent = "";
    byId("write-problem").replaceChildren(errorBox(error));
    const written = error instanceof ProblemError ? markPartly(waiting, error.problem) : [];
    if (written.length) tellChanged(written);
  }
}

byId("write-form").onsubmit = async (event) => {
  event.preventDefault();
  const focused = document.activeElement;
  byId("write-form").inert = true; // what would be typed now would be taken for written
  await write();
  byId("write-form").inert = false;
  changed();
  if (document.activeElement === document.body && focused instanceof HTMLElement) focused.focus();
};
byId("write-add").onclick = () => add(null).input.focus();
byId("write-discard").onclick = async () => {
  if (!(await mayDiscard("write"))) return;
  drop([...rowsToWrite]);
  add(null).input.focus();
  byId("write-problem").replaceChildren();
  byId("write-note").textContent = "";
  changed();
};
tasks.addEventListener("shown", (event) => {
  if (/** @type {CustomEvent} */ (event).detail === "write") changed();
});
access.addEventListener("again", changed);
access.addEventListener("store", () => {
  drop(rowsToWrite.filter((row) => !row.isChanged)); // they show another store
  for (const row of rowsToWrite) row.forget();
  if (!rowsToWrite.length) add(null);
  byId("write-problem").replaceChildren();
  byId("write-note").textContent = "";
  changed();
});
add(null);
changed();

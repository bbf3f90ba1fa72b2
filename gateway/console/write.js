// Writes pairs that are edited in a table.

import { access } from "./access.js";
import { ProblemError, session, setMany } from "./api.js";
import { mayDiscard, setUnsaved } from "./ask.js";
import { Value } from "./bytes.js";
import { showCurl } from "./curl.js";
import { byId, counted, el, keyText, say } from "./dom.js";
import { errorBox } from "./problems.js";
import { tellChanged } from "./value.js";
import { tasks } from "./views.js";

/** @typedef {import("./bytes.js").Pair} Pair */
/** @typedef {import("./bytes.js").Format} Format */

/** A row of the table. A key that came from the store cannot be changed; its value can. */
class Row {
  /** @param {Pair | null} pair The pair that is edited; null for an empty row. */
  constructor(pair) {
    const value = pair ? Value.of(pair) ?? new Value("", null) : new Value("", null);
    /** @type {string | null} */
    this.fixed = pair ? pair.key : null;
    /** @type {Format} */
    this.format = value.fitsTextField ? "text" : "hex";
    this.input = el("input", { "aria-label": "Key", placeholder: "Key", spellcheck: false, autocomplete: "off", autocapitalize: "off", oninput: changed, onpaste: pasted });
    this.area = el("textarea", { rows: 1, "aria-label": "Value", placeholder: "Value", spellcheck: false, value: value.as(this.format), oninput: () => {
      this.grow();
      changed();
    } });
    this.choice = el("select", { "aria-label": "Format of the value", onchange: () => this.convert() },
      ...["text", "hex", "base64"].map((each) => el("option", { selected: each === this.format }, each)));
    this.state = el("span", { class: "note" });
    const key = this.fixed === null ? this.input : keyText(this.fixed);
    const remove = el("button", { type: "button", "aria-label": "Remove this row", onclick: () => this.remove() }, "✕");
    this.element = el("tr", {}, el("td", { class: "fixed" }, key), el("td", {}, this.area), el("td", { class: "format" }, this.choice),
      el("td", { class: "state" }, this.state, remove));
    this.written = pair !== null;
    this.before = this.area.value;
  }

  get key() {
    return this.fixed ?? this.input.value;
  }

  get isEmpty() {
    return this.key === "" && this.fixed === null && this.area.value === "";
  }

  get isChanged() {
    return !this.isEmpty && (!this.written || this.area.value !== this.before);
  }

  /** @returns {Pair} @throws {Error} The value is not of its format. */
  pair() {
    return Value.typed(this.area.value, this.format).pair(this.key);
  }

  grow() {
    this.area.rows = Math.min(12, this.area.value.split("\n", 12).length);
  }

  convert() {
    try {
      const value = Value.typed(this.area.value, this.format);
      if (this.choice.value === "text" && !value.fitsTextField) throw new Error("Text would change these bytes.");
      const changedBefore = this.isChanged;
      this.format = this.choice.value;
      this.area.value = value.as(this.format);
      if (!changedBefore) this.before = this.area.value;
      this.state.textContent = "";
    } catch (error) {
      this.choice.value = this.format;
      this.state.textContent = error instanceof Error ? error.message : String(error);
    }
    changed();
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
    this.before = this.area.value;
  }

  async remove() {
    if (this.isChanged) {
      setUnsaved("row", "The pair of this row is not written yet.");
      const discard = await mayDiscard("row");
      setUnsaved("row", null);
      if (!discard) return;
    }
    const index = rowsToWrite.indexOf(this);
    rowsToWrite.splice(index, 1);
    this.element.remove();
    if (!rowsToWrite.length) add(null);
    (rowsToWrite[Math.min(index, rowsToWrite.length - 1)]).area.focus();
    changed();
  }
}

/** @type {Row[]} */
const rowsToWrite = [];

/** @param {Pair | null} pair */
function add(pair) {
  const row = new Row(pair);
  rowsToWrite.push(row);
  byId("write-body").append(row.element);
  row.grow();
  return row;
}

/** Adds pairs of the store to the table, to be edited. @param {Pair[]} pairs */
export function addRows(pairs) {
  removeEmpty();
  const before = new Set(rowsToWrite.map((row) => row.key));
  for (const pair of pairs) if (!before.has(pair.key)) add(pair);
  changed();
}

function removeEmpty() {
  for (const row of rowsToWrite.filter((each) => each.isEmpty)) {
    row.element.remove();
    rowsToWrite.splice(rowsToWrite.indexOf(row), 1);
  }
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
  removeEmpty();
  for (const pair of pairs) add(pair).written = false;
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
  let pairs = null;
  try {
    pairs = waiting.map((row) => row.pair());
  } catch {
    // A value is not of its format yet.
  }
  if (pairs?.length) showCurl("write-curl", [["Write these pairs", { path: "/set-many", json: { pairs } }]]);
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
      (row.fixed === null && row.key === "" ? row.input : row.area).focus();
      return null;
    }
  }
  note.textContent = "";
  return waiting.map((row) => row.pair());
}

byId("write-form").onsubmit = async (event) => {
  event.preventDefault();
  const waiting = rowsToWrite.filter((row) => row.isChanged);
  const pairs = checkedPairs(waiting);
  if (!pairs?.length) return;
  const save = /** @type {HTMLButtonElement} */ (byId("write-save"));
  save.disabled = true;
  byId("write-problem").replaceChildren();
  byId("write-note").textContent = "Writing…";
  try {
    await setMany(pairs, session.store);
    for (const row of waiting) row.mark("written", "applied");
    byId("write-note").textContent = `${counted(pairs.length, "pair")} written to ${session.store}.`;
    say(`${counted(pairs.length, "pair")} written.`);
    tellChanged(pairs.map((pair) => pair.key));
  } catch (error) {
    byId("write-note").textContent = "";
    byId("write-problem").replaceChildren(errorBox(error));
    if (error instanceof ProblemError && error.problem.failed && error.problem.applied !== undefined) {
      const failed = new Map(error.problem.failed.map((each) => [each.key, each.reason]));
      const left = new Set(error.problem.not_attempted ?? []);
      for (const row of waiting) {
        if (failed.has(row.key)) row.mark("failed", "failed");
        else if (left.has(row.key)) row.mark("not attempted", "left");
        else row.mark("written", "applied");
      }
      tellChanged(waiting.filter((row) => !row.isChanged).map((row) => row.key));
    }
  }
  changed();
};
byId("write-add").onclick = () => add(null).input.focus();
byId("write-discard").onclick = async () => {
  if (!(await mayDiscard("write"))) return;
  for (const row of rowsToWrite.splice(0)) row.element.remove();
  add(null).input.focus();
  byId("write-problem").replaceChildren();
  byId("write-note").textContent = "";
  changed();
};
tasks.addEventListener("shown", (event) => {
  if (/** @type {CustomEvent} */ (event).detail === "write") changed();
});
access.addEventListener("changed", changed);
add(null);
changed();

// The field of a value: it is typed as text, hex or base64, or it is taken from a file.

import { Value, sizeText } from "./bytes.js";
import { el } from "./dom.js";

const LARGEST_TYPED = 1024 * 1024;
/* Bytes. A text field with more is slow, so a larger value comes from a file. */

const LARGEST_FILE = 256 * 1024 * 1024;
/* Bytes. The base64 of a value must fit into one string of the browser. */

/** @typedef {import("./bytes.js").Format} Format */

export class ValueField {
  /**
   * @param {Value} value The value before it is changed.
   * @param {object} options
   * @param {number} options.rows The height of the text field.
   * @param {string} options.label The name of the text field.
   * @param {() => void} options.onchange Is called when the user has changed the value or its format.
   */
  constructor(value, { rows, label, onchange }) {
    this.onchange = onchange;
    /** @type {{ name: string, value: Value } | null} The file that was chosen. */
    this.file = null;
    /** @type {Value | null} The value before it is changed, if it is too large for the text field. */
    this.large = null;
    /** @type {Format} */
    this.format = "text";
    /** Waits for a file that is being read. */
    this.ready = Promise.resolve();
    this.area = el("textarea", { rows, spellcheck: false, "aria-label": label, placeholder: "Value", oninput: () => {
      this.note.textContent = "";
      onchange();
    } });
    this.choice = el("select", { "aria-label": "Format of the value", onchange: () => this.convert() },
      ...["text", "hex", "base64"].map((each) => el("option", {}, each)));
    this.input = el("input", { type: "file", hidden: true, "aria-label": "File with the value", onchange: () => {
      this.ready = this.read();
    } });
    this.pick = el("button", { type: "button", onclick: () => this.input.click() }, "File…");
    this.typeIt = el("button", { type: "button", onclick: () => this.type() }, "Type it instead");
    this.about = el("p", { class: "note" });
    this.held = el("div", { class: "held" }, this.about, this.typeIt);
    this.note = el("p", { class: "note", role: "status" });
    this.show(value);
  }

  /** Begins anew with a value that is in the store. @param {Value} value */
  show(value) {
    this.file = null;
    this.large = value.size > LARGEST_TYPED ? value : null;
    this.format = value.fitsTextField || this.large ? "text" : "hex";
    this.area.value = this.large ? "" : value.as(this.format);
    /** @type {string | null} What was typed when the value was that of the store; null for a large value. */
    this.before = this.large ? null : this.area.value;
    this.note.textContent = this.format === "hex" && value.text !== null
      ? "The text has characters that a text field would change, so it is edited as hex." : "";
    this.update();
  }

  get isChanged() {
    return this.file !== null || (this.large === null && this.area.value !== this.before);
  }

  /** Whether nothing is typed, and no file is chosen. */
  get isEmpty() {
    return this.file === null && this.large === null && this.area.value === "";
  }

  /** The value. @throws {Error} What was typed is not of its format. */
  value() {
    return this.file?.value ?? this.large ?? Value.typed(this.area.value, this.format);
  }

  /** What is written is now the value of the store. */
  settle() {
    if (this.file) this.show(this.file.value);
    this.before = this.large ? null : this.area.value;
  }

  /** Shows the text field, or what is written instead of its text. */
  update() {
    const held = this.file?.value ?? this.large;
    this.area.hidden = held !== null;
    this.held.hidden = held === null;
    this.choice.disabled = held !== null;
    this.choice.value = this.format;
    if (this.file) this.about.textContent = `From the file ${this.file.name}, ${sizeText(this.file.value.size)}.`;
    else if (held) this.about.textContent = `${sizeText(held.size)}: too large to be edited here. Choose a file to replace it.`;
  }

  /** Goes back from a file to the text field, which has what was typed before. */
  type() {
    this.file = null;
    this.large = null;
    this.update();
    this.area.focus();
    this.onchange();
  }

  /** Takes the file that was chosen. */
  async read() {
    const [file] = this.input.files;
    this.input.value = ""; // so that the same file can be chosen again
    if (!file) return;
    this.note.textContent = "";
    if (file.size > LARGEST_FILE) {
      this.note.textContent = `${file.name} has ${sizeText(file.size)}. The largest file that the console takes as one value has ${sizeText(LARGEST_FILE)}.`;
      return;
    }
    try {
      this.file = { name: file.name, value: Value.ofBytes(new Uint8Array(await file.arrayBuffer())) };
    } catch {
      this.note.textContent = `The file ${file.name} could not be read.`;
    } finally {
      /** Waits for a file that is being read. */
    this.ready = Promise.resolve();
    }
    this.update();
    this.onchange();
  }

  /** Shows what was typed in the format that was chosen. */
  convert() {
    try {
      const value = Value.typed(this.area.value, this.format);
      if (this.choice.value === "text" && !value.fitsTextField) {
        throw new Error("A text field would change these bytes. Keep hex or base64.");
      }
      const isChanged = this.isChanged;
      this.format = this.choice.value;
      this.area.value = value.as(this.format);
      if (!isChanged) this.before = this.area.value;
      this.note.textContent = "";
    } catch (error) {
      this.choice.value = this.format;
      this.note.textContent = error instanceof Error ? error.message : String(error);
    }
    this.onchange();
  }
}

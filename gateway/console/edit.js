// The editor of one value.

import { setMany } from "./api.js";
import { mayDiscard, setUnsaved } from "./ask.js";
import { Value } from "./bytes.js";
import { showCurl, writeLine } from "./curl.js";
import { byId, el } from "./dom.js";
import { ValueField } from "./field.js";
import { errorBox } from "./problems.js";

/**
 * Shows the editor of a value.
 * @param {HTMLElement} place
 * @param {object} pair
 * @param {string} pair.key
 * @param {Value | null} pair.value Null for a key that is not in the store.
 * @param {string} pair.store
 * @param {object} then
 * @param {(value: Value) => void} then.written Is called with the new value when it is written.
 * @param {() => void} then.cancelled
 */
export function edit(place, { key, value, store }, { written, cancelled }) {
  const holder = el("div", {});
  const problem = el("div", {});
  const field = new ValueField(value ?? new Value("", null), { rows: 14, label: "New value", onchange: () => {
    setUnsaved("value", field.isChanged ? "The new value of this key is not written yet." : null);
    showLine();
  } });
  const showLine = () => {
    try {
      const item = field.file ? { key, file: field.file.name } : field.value().pair(key);
      showCurl(holder, [["Write this value", writeLine([item])]]);
    } catch {
      holder.replaceChildren(); // what is typed is not of its format yet
    }
  };
  field.choice.removeAttribute("aria-label"); // it has a label that can be seen
  const save = async () => {
    let next;
    await field.ready;
    try {
      next = field.value();
    } catch (error) {
      field.note.textContent = error instanceof Error ? error.message : String(error);
      return field.area.focus();
    }
    form.inert = true; // what would be typed now would be lost
    problem.replaceChildren(el("p", { class: "note", role: "status" }, "Writing…"));
    try {
      await setMany([next.pair(key)], store);
      if (form.isConnected) setUnsaved("value", null);
      written(next);
    } catch (error) {
      problem.replaceChildren(errorBox(error));
    } finally {
      form.inert = false;
    }
    return undefined;
  };
  const cancel = async () => {
    if (await mayDiscard("value")) cancelled();
  };
  const form = el("form", { onsubmit: (/** @type {Event} */ event) => {
    event.preventDefault();
    save();
  } },
    el("div", { class: "bar" }, el("label", { class: "field" }, el("span", {}, "Edited as"), field.choice), field.pick, field.input),
    el("div", { class: "field" }, el("span", { "aria-hidden": "true" }, "New value"), field.area, field.held),
    field.note,
    el("div", { class: "bar" }, el("button", { class: "primary" }, "Write"), el("button", { type: "button", onclick: cancel }, "Cancel")),
    problem, holder);
  place.replaceChildren(form);
  showLine();
  (field.large ? field.pick : field.area).focus();
}

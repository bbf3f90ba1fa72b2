// Questions before something is lost: a dialog, and the warning of the browser when the page is left.

import { byId, counted, el } from "./dom.js";

const COUNT_TYPED_OVER = 100;
/* To delete more keys than this, their number must be typed. */

/**
 * @typedef {object} Question
 * @property {string} title
 * @property {(Node | string)[]} text
 * @property {string} yes The text of the button that does it.
 * @property {boolean} [danger]
 * @property {number} [count] The number of keys that are deleted.
 */

/** Asks in a dialog. While another question is open, the answer is no. @param {Question} question @returns {Promise<boolean>} */
export async function ask(question) {
  const dialog = /** @type {HTMLDialogElement} */ (byId("ask"));
  if (dialog.open) return false;
  const form = /** @type {HTMLFormElement} */ (byId("ask-form"));
  const yes = /** @type {HTMLButtonElement} */ (byId("ask-yes"));
  const typed = /** @type {HTMLInputElement} */ (byId("ask-count"));
  const count = question.count ?? 0;
  const mustType = count > COUNT_TYPED_OVER;
  byId("ask-title").textContent = question.title;
  byId("ask-text").replaceChildren(...question.text);
  byId("ask-typed").hidden = !mustType;
  byId("ask-label").textContent = `Type ${count} to delete ${counted(count, "key")}`;
  typed.value = "";
  yes.textContent = question.yes;
  yes.className = question.danger ? "danger solid" : "primary";
  const check = () => (yes.disabled = mustType && typed.value.replace(/[\s,.']/g, "") !== String(count));
  check();
  typed.oninput = check;
  return new Promise((resolve) => {
    const answer = (/** @type {boolean} */ yes) => {
      resolve(yes);
      dialog.close();
    };
    form.onsubmit = (event) => {
      event.preventDefault();
      if (!yes.disabled) answer(true);
    };
    byId("ask-no").onclick = () => answer(false);
    dialog.oncancel = (event) => {
      event.preventDefault();
      answer(false);
    };
    // The browser may close a dialog without asking. The event comes late, when the next question may be open.
    dialog.onclose = () => dialog.open || resolve(false);
    dialog.showModal();
    (mustType ? typed : byId("ask-no")).focus();
  });
}

/** What would be lost, by the place where it is. @type {Map<string, string>} */
const unsaved = new Map();

/** Says what would be lost if the page were left; null for nothing. @param {string} place @param {string | null} what */
export function setUnsaved(place, what) {
  if (what === null) unsaved.delete(place);
  else unsaved.set(place, what);
}

/** What would be lost in a place; null for nothing. @param {string} place */
export function unsavedIn(place) {
  return unsaved.get(place) ?? null;
}

/** Whether what is unsaved in a place may be thrown away; asks if there is any. @param {string} place */
export async function mayDiscard(place) {
  const what = unsaved.get(place);
  if (what === undefined) return true;
  const discard = await ask({
    title: "Discard unsaved changes?",
    text: [el("p", {}, what)],
    yes: "Discard",
    danger: true,
  });
  if (discard) unsaved.delete(place);
  return discard;
}

addEventListener("beforeunload", (event) => {
  if (unsaved.size) event.preventDefault();
});

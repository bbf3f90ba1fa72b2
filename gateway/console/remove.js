// Deleting the selected keys, or all keys with a prefix, after a question.

import { ProblemError, deleteMany, deletePrefix, prefixQuery, session } from "./api.js";
import { ask } from "./ask.js";
import { showCurl } from "./curl.js";
import { byId, counted, el, keyText, say } from "./dom.js";
import { errorBox } from "./problems.js";
import { selected, showSelection } from "./selection.js";
import { closeValue, openKey, tellDeleted } from "./value.js";

/**
 * Deletes the keys that are selected, after a question.
 * @param {() => Promise<void>} refresh Lists the keys again.
 */
export async function deleteSelected(refresh) {
  const { store } = session;
  const keys = [...selected];
  const listed = keys.slice(0, 10).map((key) => el("li", {}, keyText(key)));
  const curl = el("div", {});
  showCurl(curl, [["Delete these keys", { path: "/delete-many", json: { keys } }]]);
  const yes = await ask({
    title: `Delete ${counted(keys.length, "key")}?`,
    text: [
      el("p", {}, `${keys.length === 1 ? "It is" : "They are"} deleted from the store ${store}. This cannot be undone.`),
      el("ul", { class: "sample", tabIndex: 0, "aria-label": "Keys" }, ...listed),
      keys.length > listed.length ? el("p", { class: "note" }, `and ${(keys.length - listed.length).toLocaleString("en")} more`) : "",
      curl,
    ],
    yes: `Delete ${counted(keys.length, "key")}`,
    danger: true,
    count: keys.length,
  });
  if (!yes) return;
  try {
    await deleteMany(keys, store);
    selected.clear();
    say(`Deleted ${counted(keys.length, "key")}.`);
    const open = openKey();
    if (open !== null && keys.includes(open)) await closeValue();
    tellDeleted(keys);
  } catch (error) {
    if (error instanceof ProblemError && error.problem.failed) {
      // What was deleted is no longer selected, so that the rest can be deleted with one more click.
      const left = new Set([...error.problem.failed.map((each) => each.key), ...(error.problem.not_attempted ?? [])]);
      for (const key of keys) if (!left.has(key)) selected.delete(key);
      await refresh();
    }
    byId("keys-problem").replaceChildren(errorBox(error));
    showSelection();
  }
}

/**
 * Deletes all keys with a prefix, after a question that names their number.
 * @param {string} wanted The prefix.
 * @param {() => Promise<void>} refresh Lists the keys again.
 */
export async function deleteByPrefix(wanted, refresh) {
  const { store } = session;
  const note = byId("keys-note");
  const before = note.textContent;
  note.textContent = "Counting the keys…";
  byId("keys-problem").replaceChildren();
  try {
    const count = await deletePrefix(wanted, true, store);
    note.textContent = before;
    if (!count) return say(wanted ? "No key starts with this prefix." : "The store has no keys.");
    const curl = el("div", {});
    showCurl(curl, [["Delete these keys", { method: "DELETE", path: "/keys", query: prefixQuery(wanted) }]]);
    const what = wanted ? el("p", {}, "All keys that start with ", keyText(wanted)) : el("p", {}, el("strong", {}, "All keys of the store. "), "No prefix is given.");
    const yes = await ask({
      title: `Delete ${counted(count, "key")}?`,
      text: [what, el("p", {}, `${count === 1 ? "It is" : "They are"} deleted from the store ${store}. This cannot be undone.`), curl],
      yes: `Delete ${counted(count, "key")}`,
      danger: true,
      count,
    });
    if (!yes) return undefined;
    note.textContent = "Deleting…";
    const deleted = await deletePrefix(wanted, false, store);
    say(`Deleted ${counted(deleted, "key")}.`);
    for (const key of [...selected]) if (key.startsWith(wanted)) selected.delete(key);
    if (openKey()?.startsWith(wanted)) await closeValue();
    await refresh();
  } catch (error) {
    note.textContent = before;
    byId("keys-problem").replaceChildren(errorBox(error));
  }
  return undefined;
}

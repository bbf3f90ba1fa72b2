// The tasks of the page, of which one is shown.

import { byId } from "./dom.js";
import { closeValue } from "./value.js";

/** @typedef {"keys" | "read" | "write" | "import" | "export"} Task */

/** @type {Task[]} */
const TASKS = ["keys", "read", "write", "import", "export"];

/** Tells of "shown", with the task, when another task is shown. */
export const tasks = new EventTarget();

/**
 * Shows a task, and moves the focus to its title. An edited value that is open is closed, after a question.
 * @param {Task} task
 * @returns {Promise<boolean>} Whether the task is shown.
 */
export async function go(task) {
  const other = byId(`view-${task}`).hidden;
  if (other && !(await closeValue(false))) return false;
  for (const each of TASKS) {
    byId(`view-${each}`).hidden = each !== task;
    const button = document.querySelector(`nav [data-view=${each}]`);
    if (each === task) button?.setAttribute("aria-current", "page");
    else button?.removeAttribute("aria-current");
  }
  if (other) tasks.dispatchEvent(new CustomEvent("shown", { detail: task }));
  byId(`${task}-title`).focus();
  return true;
}

for (const button of document.querySelectorAll("nav [data-view]")) {
  if (button instanceof HTMLElement) button.onclick = () => go(/** @type {Task} */ (button.dataset.view));
}

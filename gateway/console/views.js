// The tasks of the page, of which one is shown.

import { byId } from "./dom.js";

/** @typedef {"keys" | "read" | "write" | "import" | "export"} Task */

/** @type {Task[]} */
const TASKS = ["keys", "read", "write", "import", "export"];

/** Tells of "shown", with the task, when another task is shown. */
export const tasks = new EventTarget();

/** Shows a task, and moves the focus to its title. @param {Task} task */
export function go(task) {
  const other = byId(`view-${task}`).hidden;
  for (const each of TASKS) {
    byId(`view-${each}`).hidden = each !== task;
    const button = document.querySelector(`nav [data-view=${each}]`);
    if (each === task) button?.setAttribute("aria-current", "page");
    else button?.removeAttribute("aria-current");
  }
  if (other) tasks.dispatchEvent(new CustomEvent("shown", { detail: task }));
  byId(`${task}-title`).focus();
}

for (const button of document.querySelectorAll("nav [data-view]")) {
  if (button instanceof HTMLElement) button.onclick = () => go(/** @type {Task} */ (button.dataset.view));
}

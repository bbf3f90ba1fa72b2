// Errors in words: every problem of the gateway, a lost connection, and a defect of this page.

import { Lost } from "./connection.js";
import { ProblemError } from "./api.js";
import { counted, el, keyText, visible } from "./dom.js";

const MOST_LISTED = 200;
/* Keys of a list. The rest is only counted. */

/** Whether an error only says that the user stopped something. @param {unknown} error */
export function isAbort(error) {
  return error instanceof DOMException && error.name === "AbortError";
}

/**
 * A box that says what went wrong, where, and what to do.
 * @param {unknown} error
 * @param {...HTMLElement} actions Buttons.
 * @returns {HTMLElement}
 */
export function errorBox(error, ...actions) {
  const parts = error instanceof ProblemError ? problemParts(error.problem) : otherParts(error);
  if (actions.length) parts.push(el("div", { class: "bar" }, ...actions));
  return el("div", { class: "problem", role: "alert" }, ...parts);
}

/** @param {unknown} error @returns {HTMLElement[]} */
function otherParts(error) {
  if (error instanceof Lost) {
    return [
      el("h2", {}, "The connection was lost"),
      el("p", {}, "The gateway did not answer to the end. If this was a write, it may have been applied in part. Every " +
        "request may be sent again unchanged."),
    ];
  }
  return [el("h2", {}, "This did not work"), el("p", {}, ...visible(error instanceof Error ? error.message : String(error)))];
}

/** @param {import("./api.js").Problem} problem @returns {HTMLElement[]} */
function problemParts(problem) {
  const parts = [el("h2", {}, ...visible(problem.title)), el("p", {}, ...visible(problem.detail))];
  const facts = [
    ["Status", problem.status],
    ["Line", problem.line],
    ["Place", problem.pointer],
    ["Parameter", problem.parameter],
    ["Variable", problem.variable],
    ["Limit", problem.limit],
    ["Actual", problem.actual],
    ["Applied", problem.applied],
    ["Go on from line", problem.resume_line],
    ["Try again after", problem.retry_after && `${problem.retry_after} s`],
    ["Request", problem.request_id],
  ].filter(([, value]) => value !== undefined && value !== "");
  parts.push(el("dl", { class: "facts" }, ...facts.flatMap(([name, value]) => [
    el("dt", {}, String(name)),
    el("dd", {}, ...visible(String(value))),
  ])));
  const failed = problem.failed ?? [];
  if (failed.length) {
    parts.push(listed(`${counted(failed.length, "key")} failed. Each has its old value or the new one:`, failed.length,
      failed.slice(0, MOST_LISTED).map(({ key, reason }) => el("li", {}, keyText(key), " ", el("span", { class: "note" }, ...visible(reason))))));
  }
  const left = problem.not_attempted ?? [];
  if (left.length) {
    parts.push(listed(`${counted(left.length, "key was", "keys were")} not attempted:`, left.length,
      left.slice(0, MOST_LISTED).map((key) => el("li", {}, keyText(key)))));
  }
  return parts;
}

/** @param {string} title @param {number} count @param {HTMLElement[]} items */
function listed(title, count, items) {
  return el("div", { class: "listed", tabIndex: 0, role: "region", "aria-label": title },
    el("p", {}, title),
    el("ul", {}, ...items),
    count > items.length && el("p", { class: "note" }, `and ${(count - items.length).toLocaleString("en")} more`));
}

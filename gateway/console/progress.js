// A progress bar with bytes, lines per second, and the time that is left.

import { counted, el } from "./dom.js";
import { sizeText } from "./bytes.js";

const WINDOW = 5_000;
/* Milliseconds over which the speed is measured. */

/** A time in words. @param {number} seconds */
export function timeText(seconds) {
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

export class Progress {
  /**
   * @param {HTMLElement} place
   * @param {string} title
   * @param {() => void} cancel Is called at each click on the button, which the caller names by `canCancel`.
   */
  constructor(place, title, cancel) {
    this.bar = el("progress", { "aria-label": title });
    this.text = el("p", { class: "note" }, "Starting…");
    this.button = el("button", { type: "button", onclick: cancel }, "Cancel");
    this.started = performance.now();
    /** @type {[number, number, number][]} Time, share of the whole, lines. */
    this.seen = [[this.started, 0, 0]];
    place.replaceChildren(el("div", { class: "progress" }, el("p", {}, title), this.bar, this.text, el("div", { class: "bar" }, this.button)));
    this.button.focus();
  }

  get seconds() {
    return (performance.now() - this.started) / 1000;
  }

  /**
   * @param {object} state
   * @param {number} state.bytes
   * @param {number} state.lines
   * @param {number | null} state.share From 0 to 1; null if the whole is not known.
   * @param {number} [state.of] The bytes of the whole.
   */
  update({ bytes, lines, share, of }) {
    const now = performance.now();
    this.seen.push([now, share ?? 0, lines]);
    while (this.seen.length > 2 && this.seen[0][0] < now - WINDOW) this.seen.shift();
    const [time, shareThen, linesThen] = this.seen[0];
    const seconds = Math.max(now - time, 1) / 1000;
    if (share === null) this.bar.removeAttribute("value");
    else this.bar.value = Math.min(share, 1);
    const left = share === null ? NaN : (1 - share) / ((share - shareThen) / seconds);
    const parts = [
      of === undefined ? sizeText(bytes) : `${sizeText(bytes)} of ${sizeText(of)}`,
      counted(lines, "line"),
      `${Math.round((lines - linesThen) / seconds).toLocaleString("en")} lines per second`,
      share !== null && share < 1 && Number.isFinite(left) && `about ${timeText(left)} left`,
    ];
    this.text.textContent = parts.filter(Boolean).join(" · ");
  }
}

// Elements. Text from the store is only ever set as text: never as HTML.

/**
 * The element of the page with that id.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no element ${id}`);
  return /** @type {T} */ (found);
}

/** @typedef {Node | string | null | undefined | false} Child */

/**
 * A new element.
 * @param {string} tag
 * @param {Record<string, unknown>} [properties] `class`, `aria-…`, `data-…`, `for`, `scope` and `role` are set as
 *   attributes, `onclick` and the like as listeners, and all others as properties.
 * @param {...Child} children
 * @returns {any}
 */
export function el(tag, properties = {}, ...children) {
  const element = /** @type {any} */ (document.createElement(tag));
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (/^(class|for|scope|role|aria-.*|data-.*)$/.test(name)) element.setAttribute(name, String(value));
    else element[name] = value;
  }
  element.append(...children.filter((child) => child || child === ""));
  return element;
}

/** Tells a screen reader, and shows at the bottom of the page, what was done. @param {string} text */
export function say(text) {
  const status = byId("status");
  status.textContent = "";
  requestAnimationFrame(() => (status.textContent = text));
}

const HIDDEN = /[\u0000-\u001f\u007f-\u00a0\u00ad\u061c\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufff9-\ufffb]/gu;

/**
 * Text of which every character can be seen, also those that are invisible or change the direction of others.
 * @param {string} text
 * @returns {Node[]}
 */
export function visible(text) {
  /** @type {Node[]} */
  const nodes = [];
  let start = 0;
  for (const match of text.matchAll(HIDDEN)) {
    if (match.index > start) nodes.push(document.createTextNode(text.slice(start, match.index)));
    nodes.push(el("span", { class: "control", textContent: symbolOf(match[0].charCodeAt(0)) }));
    start = match.index + 1;
  }
  if (start < text.length) nodes.push(document.createTextNode(text.slice(start)));
  return nodes;
}

/** @param {number} code */
function symbolOf(code) {
  const escape = { 9: "\\t", 10: "\\n", 13: "\\r" }[code];
  return escape ?? `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
}

/** A key, as an element. @param {string} key */
export function keyText(key) {
  return key === "" ? el("i", {}, "(the empty key)") : el("bdi", { class: "key" }, ...visible(key));
}

/** @param {number} count @param {string} one @param {string} [many] */
export function counted(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

/**
 * Copies text, also where the page was not loaded over HTTPS and has no access to the clipboard.
 * @param {string} text
 * @param {string} what
 */
export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = el("textarea", { value: text, class: "hidden" });
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    const before = document.activeElement;
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (before instanceof HTMLElement) before.focus();
    if (!done) return say(`The browser did not allow copying ${what}.`);
  }
  return say(`Copied ${what}.`);
}

// The curl line that does the same as an action of the page. The token is never in it.

import { byId, copy, el } from "./dom.js";
import { base, session } from "./api.js";

const LONGEST_BODY = 20_000;
/* Characters. A longer body is not part of the line: the line names a file. */

/** The name of a file as a word of a shell, which curl takes neither for an option nor for its standard input. @param {string} name */
export function fileWord(name) {
  return quote(/^[-.]/.test(name) ? `./${name}` : name);
}

/** Text as one word of a POSIX shell. @param {string} text */
export function quote(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

const UNSEEN = /[\u007f-\u00a0\u00ad\u061c\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/**
 * JSON in one line, without characters that cannot be seen. JSON itself escapes all below U+0020.
 * @param {any} value
 * @returns {string}
 */
export function plainJson(value) {
  if (Array.isArray(value)) return `[${value.map(plainJson).join(", ")}]`;
  if (value !== null && typeof value === "object") {
    return `{${Object.entries(value).map(([name, each]) => `"${name}": ${plainJson(each)}`).join(", ")}}`;
  }
  const escape = (/** @type {string} */ each) => "\\u" + each.charCodeAt(0).toString(16).padStart(4, "0");
  return JSON.stringify(value).replace(UNSEEN, escape);
}

/**
 * A query, with the characters that need no escape kept readable.
 * @param {Record<string, string | null | undefined>} query
 */
export function queryText(query) {
  const parts = Object.entries(query)
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([name, value]) => {
      const encoded = encodeURIComponent(value ?? "").replace(/%(3A|2F|40|2C)/g, decodeURIComponent);
      return `${name}=${encoded.replaceAll("'", "%27")}`;
    });
  return parts.length ? `?${parts.join("&")}` : "";
}

/**
 * @typedef {object} Line
 * @property {string} [method]
 * @property {string} path The path behind the store: "/keys", or "" for the store itself.
 * @property {Record<string, string | null | undefined>} [query]
 * @property {unknown} [json] The body.
 * @property {string[]} [options] Further words, quoted as they must be.
 * @property {string} [before] What comes before the command, such as a pipe into it.
 * @property {string} [then] What follows the command, such as a pipe.
 */

/** @typedef {import("./bytes.js").Pair | { key: string, file: string }} Item A pair, or a key whose value is a file. */

/** The line that writes pairs. With a file among them, it sends NDJSON that the shell makes. @param {Item[]} items @returns {Line} */
export function writeLine(items) {
  if (!items.some((item) => "file" in item)) return { path: "/set-many", json: { pairs: items } };
  const steps = items.map((item) => {
    if (!("file" in item)) return `printf '%s\\n' ${quote(plainJson(item))}`;
    const start = quote(`{"key": ${plainJson(item.key)}, "encoding": "base64", "value": "`);
    const file = quote(item.file);
    // Without the file, nothing more is sent: an empty value would be written otherwise.
    return `test -r ${file} && printf %s ${start} && base64 < ${file} | tr -d '\\n' && echo '"}'`;
  });
  const options = ["-H 'content-type: application/x-ndjson'", "-T -"];
  return { method: "POST", path: "/set-many", options, before: `{ ${steps.join(" && ")}; } |` };
}

/** The command. @param {Line} line */
export function curlLine(line) {
  const words = [line.before ? `${line.before} curl -sS` : "curl -sS"];
  if (line.method) words.push(`-X ${line.method}`);
  if (session.token) words.push('-H "authorization: Bearer $TOKEN"');
  words.push(...(line.options ?? []));
  if (line.json !== undefined) {
    const body = plainJson(line.json);
    words.push(body.length > LONGEST_BODY ? "--json @body.json" : `--json ${quote(body)}`);
  }
  const url = new URL(`v1/${encodeURIComponent(session.store)}${line.path}`, base).href + queryText(line.query ?? {});
  // curl takes [ ] { } in an address, or in the name of a file that it sends, for a pattern.
  if (/[[\]{}]/.test([url, ...(line.options ?? [])].join(" "))) words.splice(1, 0, "-g");
  words.push(quote(url));
  if (line.then) words.push(line.then);
  let text = words[0];
  let width = text.length;
  for (const word of words.slice(1)) {
    const breaks = width + word.length > 88;
    text += (breaks ? " \\\n  " : " ") + word;
    width = breaks ? word.length : width + word.length + 1;
  }
  return text;
}

/**
 * Shows the lines that do the same as an action, each with a button that copies it.
 * @param {string | HTMLElement} place The element, or its id.
 * @param {[string, Line][]} lines What each does, and the line.
 */
export function showCurl(place, lines) {
  const holder = typeof place === "string" ? byId(place) : place;
  const open = holder.querySelector("details")?.open ?? false;
  holder.replaceChildren(
    el(
      "details",
      { class: "curl", open },
      el("summary", {}, "The same with curl"),
      ...lines.map(([what, line]) => {
        const text = curlLine(line);
        const long = line.json !== undefined && text.includes("--json @body.json");
        return el(
          "div",
          { class: "command" },
          el("p", {}, what, long ? ". The body is long: save it as body.json." : ""),
          el("pre", { tabIndex: 0, role: "region", "aria-label": `Command: ${what}` }, text),
          el("button", { type: "button", onclick: () => copy(text, "the command") }, "Copy"),
          long && el("button", { type: "button", onclick: () => copy(plainJson(line.json), "the body") }, "Copy the body"),
        );
      }),
    ),
  );
}

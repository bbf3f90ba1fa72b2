// NDJSON: the lines of an answer, and a file in parts of whole lines.

import { whole } from "./connection.js";

/**
 * The lines of an answer, as they arrive.
 * @param {Response} response
 * @returns {AsyncGenerator<string>}
 */
export async function* linesOf(response) {
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const decoder = new TextDecoder();
  /** @type {string[]} */
  let held = [];
  try {
    for (;;) {
      const { done, value } = await whole(reader.read());
      const text = done ? decoder.decode() : decoder.decode(value, { stream: true });
      const end = text.lastIndexOf("\n");
      if (end < 0) {
        held.push(text);
      } else {
        held.push(text.slice(0, end));
        const lines = held.join("").split("\n");
        held = [text.slice(end + 1)];
        yield* lines.filter((line) => line !== "");
      }
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/**
 * @typedef {object} Part Whole lines of a file.
 * @property {Uint8Array} bytes
 * @property {number} first The number of the first line, from 1.
 * @property {number} lines The number of lines, blank ones included.
 * @property {number} pairs The number of lines that are not blank.
 * @property {number | null} end What the end line behind these lines says; null if there is none.
 */

const NEW_LINE = 10;

/**
 * A file in parts of whole lines. An end line closes a part and is not in its bytes, since it counts the lines of
 * the whole file.
 * @param {ReadableStream<Uint8Array>} stream
 * @param {() => number} size About how many bytes the next part should have.
 * @returns {AsyncGenerator<Part>}
 */
export async function* partsOf(stream, size) {
  const reader = stream.getReader();
  /** @type {Uint8Array[]} */
  let held = [];
  let heldBytes = 0;
  let first = 1;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (value) {
        held.push(value);
        heldBytes += value.length;
      }
      if (!done && heldBytes < size()) continue;
      const bytes = joined(held, heldBytes);
      const end = done ? bytes.length : bytes.lastIndexOf(NEW_LINE) + 1;
      for (const part of split(bytes.subarray(0, end), first)) {
        yield part;
        first = part.first + part.lines + (part.end === null ? 0 : 1);
      }
      held = end < bytes.length ? [bytes.subarray(end)] : [];
      heldBytes = bytes.length - end;
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** @param {Uint8Array[]} chunks @param {number} size */
function joined(chunks, size) {
  if (chunks.length === 1) return chunks[0];
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/**
 * Whole lines, split behind each end line.
 * @param {Uint8Array} bytes
 * @param {number} first
 * @returns {Generator<Part>}
 */
export function* split(bytes, first) {
  let start = 0;
  let lines = 0;
  let pairs = 0;
  for (let at = 0; at < bytes.length; ) {
    const found = bytes.indexOf(NEW_LINE, at);
    const next = found < 0 ? bytes.length : found + 1;
    const said = endOf(bytes, at, next);
    if (said !== null) {
      yield { bytes: bytes.subarray(start, at), first, lines, pairs, end: said };
      first += lines + 1;
      start = next;
      lines = pairs = 0;
    } else {
      lines++;
      if (!isBlank(bytes, at, next)) pairs++;
    }
    at = next;
  }
  if (lines) yield { bytes: bytes.subarray(start), first, lines, pairs, end: null };
}

/** @param {Uint8Array} bytes @param {number} from @param {number} to */
function isBlank(bytes, from, to) {
  for (let at = from; at < to; at++) if (bytes[at] > 32) return false;
  return true;
}

/** What an end line says; null if the line is another. @param {Uint8Array} bytes @param {number} from @param {number} to */
function endOf(bytes, from, to) {
  if (to - from > 200 || bytes[from] !== 0x7b) return null;
  const text = new TextDecoder().decode(bytes.subarray(from, Math.min(to, from + 12)));
  if (!/^\{\s*"end"/.test(text)) return null;
  try {
    const document = JSON.parse(new TextDecoder().decode(bytes.subarray(from, to)));
    const pairs = document.end?.pairs;
    return Number.isSafeInteger(pairs) && Object.keys(document).length === 1 ? pairs : null;
  } catch {
    return null; // The gateway says what is wrong with it.
  }
}

/**
 * The part without the lines before one; null if nothing is left.
 * @param {Part} part
 * @param {number} line
 * @returns {Part}
 */
export function withoutLinesBefore(part, line) {
  let { bytes, first, lines, pairs } = part;
  let at = 0;
  for (; lines > 0 && first < line; first++, lines--) {
    const found = bytes.indexOf(NEW_LINE, at);
    const next = found < 0 ? bytes.length : found + 1;
    if (!isBlank(bytes, at, next)) pairs--;
    at = next;
  }
  return { bytes: bytes.subarray(at), first, lines, pairs, end: part.end };
}

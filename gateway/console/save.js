// Files that the user keeps: written to the disk as they arrive where the browser can, else held in memory first.

import { el } from "./dom.js";

/** Whether this browser writes a file as it arrives. Not without HTTPS, except on the loopback. */
export const canStream = "showSaveFilePicker" in window;

/** A file name made from a key. @param {string} key @param {string} extension */
export function fileName(key, extension) {
  const name = key.replace(/[^\p{L}\p{N}._-]+/gu, "_").slice(0, 80) || "value";
  return name.includes(".") && !name.startsWith(".") ? name : name.replace(/^\.+/, "") + extension;
}

/** Offers bytes as a download. @param {Blob} blob @param {string} name */
export function download(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = el("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/**
 * @typedef {object} Sink
 * @property {(chunk: Uint8Array) => Promise<void>} write
 * @property {() => Promise<void>} close Keeps the file.
 * @property {() => Promise<void>} abort Keeps nothing.
 */

/**
 * Asks where to keep a file. Must be called while the browser handles a click.
 * @param {string} name
 * @returns {Promise<Sink>}
 * @throws {DOMException} AbortError: the user chose no file.
 */
export async function openSink(name) {
  if (canStream) {
    const handle = await /** @type {any} */ (window).showSaveFilePicker({ suggestedName: name });
    const file = await handle.createWritable();
    return { write: (chunk) => file.write(chunk), close: () => file.close(), abort: () => file.abort() };
  }
  /** @type {BlobPart[]} */
  let chunks = [];
  return {
    async write(chunk) {
      chunks.push(/** @type {BlobPart} */ (chunk));
      // A Blob may be moved to the disk by the browser; an array may not.
      if (chunks.length > 500) chunks = [new Blob(chunks)];
    },
    close: async () => download(new Blob(chunks), name),
    abort: async () => void (chunks = []),
  };
}

// Exports a store, or a prefix of it, to a file. Its end line shows that it is whole.

import { ProblemError, deletePrefix, request, session } from "./api.js";
import { setUnsaved } from "./ask.js";
import { whole } from "./connection.js";
import { fileWord, showCurl } from "./curl.js";
import { byId, counted, el, say } from "./dom.js";
import { sizeText } from "./bytes.js";
import { errorBox, isAbort } from "./problems.js";
import { Progress, timeText } from "./progress.js";
import { canStream, openSink } from "./save.js";

const NEWLINE_BYTE = 10;

const LONGEST_LAST_LINE = 65_536;
/* Bytes of the end of an export that are kept to find its last line. */

const exportPrefix = /** @type {HTMLInputElement} */ (byId("export-prefix"));
const gzip = /** @type {HTMLInputElement} */ (byId("export-gzip"));

byId("export-way").textContent = canStream
  ? "The browser writes it to the disk as it arrives."
  : "This browser first holds all of it in memory, or in a file of its own. For a large store, use the curl line below.";

function exportName() {
  const [store, part] = [session.store, exportPrefix.value].map((text) =>
    text.replace(/[^\p{L}\p{N}_-]+/gu, "_").replace(/^_|_$/g, "").slice(0, 60));
  return `${[store, part].filter(Boolean).join("-")}.ndjson${gzip.checked ? ".gz" : ""}`;
}

/** Shows the curl line of the export. */
export function showExport() {
  const options = [...(gzip.checked ? ["-H 'accept-encoding: gzip'"] : []), `-o ${fileWord(exportName())}`];
  showCurl("export-curl", [["Export to a file", { path: "/export", query: { prefix: exportPrefix.value || null, end: "true" }, options }]]);
}

/** The last line of the bytes that were seen. @param {Uint8Array} tail */
function lastLine(tail) {
  return new TextDecoder().decode(tail).trimEnd().split("\n").pop() ?? "";
}

/**
 * Checks the last line of an export.
 * @param {string} line
 * @param {number} pairs The number of lines before it.
 * @throws {Error} The export is not whole.
 */
function checkEnd(line, pairs) {
  /** @type {{ problem?: import("./api.js").Problem, end?: { pairs: number } }} */
  let document = {};
  try {
    document = JSON.parse(line);
  } catch {
    // It was cut within a line.
  }
  if (document.problem) throw new ProblemError(document.problem);
  if (document.end?.pairs !== pairs) throw new Error("The export was cut before its end line. Nothing was saved.");
}

/** @param {AbortController} abort */
async function run(abort) {
  const started = { store: session.store, prefix: exportPrefix.value, gzip: gzip.checked };
  const sink = await openSink(exportName());
  const progress = new Progress(byId("export-progress"), `Exporting ${started.store}`, () => abort.abort());
  let bytes = 0;
  let lines = 0;
  try {
    // The number of keys needs the right to delete. Without it, the bar shows no share.
    const total = await deletePrefix(started.prefix, true, started.store).catch((error) => {
      if (error instanceof ProblemError && error.problem.status === 403) return null;
      throw error;
    });
    const query = { prefix: started.prefix || null, end: "true" };
    const response = await request("GET", "/export", { query, signal: abort.signal, store: started.store });
    let tail = new Uint8Array();
    const counter = new TransformStream({
      transform(chunk, controller) {
        bytes += chunk.length;
        for (let at = chunk.indexOf(NEWLINE_BYTE); at >= 0; at = chunk.indexOf(NEWLINE_BYTE, at + 1)) lines++;
        const both = new Uint8Array(tail.length + Math.min(chunk.length, LONGEST_LAST_LINE));
        both.set(tail);
        both.set(chunk.subarray(-LONGEST_LAST_LINE), tail.length);
        tail = both.slice(-LONGEST_LAST_LINE);
        controller.enqueue(chunk);
      },
    });
    let stream = /** @type {ReadableStream<Uint8Array>} */ (response.body).pipeThrough(counter);
    if (started.gzip) stream = stream.pipeThrough(new CompressionStream("gzip"));
    const reader = stream.getReader();
    for (;;) {
      const { done, value } = await whole(reader.read());
      if (done) break;
      await sink.write(value);
      progress.update({ bytes, lines, share: total ? lines / total : null });
    }
    const pairs = Math.max(lines - 1, 0);
    checkEnd(lastLine(tail), pairs);
    await sink.close();
    return [
      el("h2", { tabIndex: -1 }, "The export is done"),
      el("p", {}, `${counted(pairs, "pair")}, ${sizeText(bytes)}${started.gzip ? " before gzip" : ""}, in ${timeText(progress.seconds)}. Its end line was checked.`),
    ];
  } catch (error) {
    await sink.abort().catch(() => {});
    const stopped = isAbort(error);
    return [
      el("h2", { tabIndex: -1 }, stopped ? "The export was stopped" : "The export ended early"),
      el("p", {}, `${counted(lines, "line")} had arrived. No file was kept.`),
      ...(stopped ? [] : [errorBox(error)]),
    ];
  }
}

byId("export-form").onsubmit = async (event) => {
  event.preventDefault();
  const button = /** @type {HTMLButtonElement} */ (byId("export-start"));
  const result = byId("export-result");
  result.replaceChildren();
  button.disabled = true;
  setUnsaved("export", "An export is under way.");
  try {
    result.replaceChildren(...(await run(new AbortController())));
    const title = /** @type {HTMLElement} */ (result.querySelector("h2"));
    title.focus();
    say(title.textContent ?? "");
  } catch (error) {
    if (!isAbort(error)) result.replaceChildren(errorBox(error));
  } finally {
    setUnsaved("export", null);
    button.disabled = false;
    byId("export-progress").replaceChildren();
  }
};
exportPrefix.oninput = showExport;
gzip.onchange = showExport;

// Imports a file of NDJSON. It is read from the disk and sent in parts of whole lines, each a request of its own.
//
// One request with the whole file would be simpler. But if it were stopped, nobody could say which lines were
// applied, since the gateway answers at the end. After each part it is known. Only one part is in memory at a time.

import { ProblemError, request, session } from "./api.js";
import { setUnsaved } from "./ask.js";
import { Lost, whole } from "./connection.js";
import { fileWord, showCurl } from "./curl.js";
import { byId, counted, el, say } from "./dom.js";
import { gunzip } from "./gunzip.js";
import { partsOf, withoutLinesBefore } from "./lines.js";
import { errorBox, isAbort } from "./problems.js";
import { Progress, timeText } from "./progress.js";
import { tellChanged } from "./value.js";

const SMALLEST_PART = 64 * 1024;
const FIRST_PART = 256 * 1024;
const LARGEST_PART = 8 * 1024 * 1024;
/* Bytes. Parts grow while the store is fast, so that the bar moves and a stop takes effect about every second. */

const FAST = 400;
const SLOW = 1_500;
/* Milliseconds for a part, under which the next ones are larger, and over which they are smaller. */

const MOST_FAILED = 1_000;
/* Keys that failed by themselves after which the import stops, as the gateway does within one request. */

const file = /** @type {HTMLInputElement} */ (byId("import-file"));
const line = /** @type {HTMLInputElement} */ (byId("import-line"));

/**
 * A problem of a part, as one of the whole file.
 * @param {import("./api.js").Problem} problem
 * @param {number} before The number of lines before the part.
 * @param {number} applied The number of lines of earlier parts that were applied.
 */
export function ofWholeFile(problem, before, applied) {
  const moved = { ...problem };
  if (moved.line !== undefined) moved.line += before;
  if (moved.resume_line !== undefined) moved.resume_line += before;
  if (moved.applied !== undefined) moved.applied += applied;
  moved.detail = problem.detail
    .replace(/\b(line |tail -n \+)(\d+)/gi, (_, start, number) => start + (Number(number) + before))
    .replace(/(were applied \()(\d+)(?=\))/, (_, start, number) => start + (Number(number) + applied))
    .replace(/\b(\d+)(?= lines were applied)/, (number) => String(Number(number) + applied));
  return moved;
}

/** One import. */
class Import {
  /** @param {File} source @param {string} store @param {number} first The number of the first line that is sent. */
  constructor(source, store, first) {
    this.source = source;
    this.store = store;
    this.first = first;
    /** The first line that is not known to be applied. */
    this.next = first;
    this.applied = 0;
    /** @type {{ key: string, reason: string }[]} */
    this.failed = [];
    this.read = 0;
    this.size = FIRST_PART;
    this.stopping = false;
    this.abort = new AbortController();
    this.hasEnd = false;
    this.unsure = false;
    this.progress = new Progress(byId("import-progress"), `Importing ${source.name} to ${this.store}`, () => this.stop());
  }

  /** At the first call, stops behind the part that is under way; at the second, at once. */
  stop() {
    if (this.stopping) this.abort.abort();
    this.stopping = true;
    this.progress.button.textContent = "Stop now";
    this.progress.text.textContent = "Stopping when the part that is under way is applied…";
  }

  /** The bytes of the file, decompressed if they are gzip. @returns {Promise<ReadableStream<Uint8Array>>} */
  async bytes() {
    const start = new Uint8Array(await this.source.slice(0, 2).arrayBuffer());
    const counter = new TransformStream({
      transform: (chunk, controller) => {
        this.read += chunk.length;
        controller.enqueue(chunk);
      },
    });
    const stream = this.source.stream().pipeThrough(counter);
    return start[0] === 0x1f && start[1] === 0x8b ? stream.pipeThrough(gunzip()) : stream;
  }

  /** Sends the file. @returns {Promise<boolean>} Whether it was sent to its end. */
  async run() {
    let since = 0; // pairs since the last end line
    for await (const part of partsOf(await this.bytes(), () => this.size)) {
      const behind = part.first + part.lines;
      since += part.pairs;
      if (behind > this.first && part.lines) {
        await this.send(withoutLinesBefore(part, this.first));
        this.next = behind;
      }
      if (part.end !== null) {
        if (part.end !== since) {
          throw new Error(`Line ${behind} says that ${part.end} lines end here, but there are ${since}: lines were lost or ` +
            "added. Get the file again, or remove this line. All lines before it were applied.");
        }
        since = 0;
        this.next = Math.max(this.next, behind + 1);
      }
      this.hasEnd = since === 0 && (this.hasEnd || part.end !== null);
      this.progress.update({ bytes: this.read, lines: this.applied, share: this.source.size ? this.read / this.source.size : 1, of: this.source.size });
      if (this.stopping) return false;
    }
    return true;
  }

  /** Sends a part. @param {import("./lines.js").Part} part */
  async send(part) {
    const started = performance.now();
    try {
      this.unsure = true;
      const lines = new Blob([/** @type {BlobPart} */ (part.bytes)]);
      const call = { lines, accept: "application/json", signal: this.abort.signal, store: this.store };
      const answer = await whole((await request("POST", "/set-many", call)).json());
      this.unsure = false;
      this.applied += answer.pairs;
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error;
      this.unsure = false;
      const problem = ofWholeFile(error.problem, part.first - 1, this.applied);
      this.applied = problem.applied ?? this.applied;
      this.failed.push(...(problem.failed ?? []));
      problem.failed = this.failed;
      // Keys that fail by themselves do not end an import. The store does, and a line that is not valid.
      const goesOn = error.problem.failed?.length && problem.line === undefined && problem.resume_line === undefined;
      if (goesOn && this.failed.length < MOST_FAILED) return;
      this.next = problem.resume_line ?? problem.line ?? (goesOn ? part.first + part.lines : part.first);
      throw new ProblemError(problem);
    }
    const took = performance.now() - started;
    if (took < FAST) this.size = Math.min(this.size * 2, LARGEST_PART);
    if (took > SLOW) this.size = Math.max(this.size / 2, SMALLEST_PART);
  }

  /** What was applied, in words. */
  told() {
    const lines = counted(this.applied, "line was", "lines were");
    return `${lines} applied to ${this.store} in ${timeText(this.progress.seconds)}.`;
  }
}

/** @type {Import | null} */
let current = null;

/** @param {number} first @param {string} store */
async function start(first, store) {
  const source = file.files?.[0];
  if (!source || current) return;
  line.value = String(first);
  showLines();
  const result = byId("import-result");
  result.replaceChildren();
  const job = (current = new Import(source, store, first));
  setUnsaved("import", "An import is under way.");
  byId("import-count").hidden = false;
  byId("import-count").textContent = "under way";
  for (const each of [file, line, byId("import-start")]) /** @type {HTMLInputElement} */ (each).disabled = true;
  /** @type {unknown} */
  let error = null;
  let ended = false;
  try {
    ended = await job.run();
  } catch (caught) {
    error = caught;
  }
  current = null;
  setUnsaved("import", null);
  byId("import-count").hidden = true;
  for (const each of [file, line, byId("import-start")]) /** @type {HTMLInputElement} */ (each).disabled = false;
  byId("import-progress").replaceChildren();
  result.replaceChildren(...(ended ? doneParts(job) : endedEarlyParts(job, error)));
  const title = result.querySelector("h2");
  if (title) title.focus();
  say(job.told());
  tellChanged([]);
}

/** @param {Import} job */
function doneParts(job) {
  const end = job.hasEnd ? "The end line of the file was checked: the file is complete." :
    "The file has no end line, so nobody can say whether it was cut before it came here.";
  const parts = [el("h2", { tabIndex: -1 }, "The import is done"), el("p", {}, job.told()), el("p", { class: "note" }, end)];
  if (!job.failed.length) return parts;
  const problem = { title: "Some keys failed", status: 502, detail: "All other lines were applied. The import may be repeated.", failed: job.failed };
  return [...parts, errorBox(new ProblemError(problem))];
}

/** @param {Import} job @param {unknown} error */
function endedEarlyParts(job, error) {
  const stopped = error === null || isAbort(error);
  const upTo = job.next > 1 ? `All lines before line ${job.next.toLocaleString("en")} were applied${job.failed.length ? " or are listed as failed" : ""}. ` : "";
  const unsure = job.unsure ? "Of the lines from there on, the part that was under way may be applied. Sending it again does no harm." : "";
  const again = el("button", { type: "button", class: "primary", onclick: () => start(job.next, job.store) }, `Go on from line ${job.next.toLocaleString("en")}`);
  const actions = [again];
  const bad = error instanceof ProblemError ? error.problem.line : undefined;
  if (bad !== undefined && bad === job.next) {
    actions.push(el("button", { type: "button", onclick: () => start(bad + 1, job.store) }, `Leave out line ${bad.toLocaleString("en")} and go on`));
  }
  const fileError = error instanceof DOMException && !isAbort(error) || (error instanceof TypeError);
  const shown = fileError ? new Error("The file could not be read: it has changed since it was chosen, or its gzip data is " +
    "damaged. Choose the file again; gzip -t checks its data.") : error;
  return [
    el("h2", { tabIndex: -1 }, stopped ? "The import was stopped" : "The import ended early"),
    el("p", {}, job.told()),
    el("p", {}, upTo + unsure),
    ...(stopped ? [] : [errorBox(shown)]),
    el("div", { class: "bar" }, ...actions),
    error instanceof Lost ? el("p", { class: "note" }, "Go on when the gateway answers again.") : "",
  ];
}

byId("import-form").onsubmit = (event) => {
  event.preventDefault();
  start(Math.max(1, Number(line.value) || 1), session.store);
};
file.onchange = () => {
  byId("import-result").replaceChildren();
  line.value = "1";
  showLines();
};

line.oninput = () => showLines();

/** Shows the curl line of an import. */
export function showLines() {
  const name = file.files?.[0]?.name ?? "dump.ndjson";
  const packed = name.endsWith(".gz");
  const first = Number(line.value) || 1;
  const options = ["-H 'content-type: application/x-ndjson'"];
  let before;
  if (first > 1) {
    const tail = `tail -n +${first}`;
    before = packed ? `gzip -dc ${fileWord(name)} | ${tail} |` : `${tail} ${fileWord(name)} |`;
    options.push("-T -");
  } else {
    if (packed) options.push("-H 'content-encoding: gzip'");
    options.push(`-T ${fileWord(name)}`);
  }
  showCurl("import-curl", [["Import this file", { method: "POST", path: "/set-many", options, before }]]);
}

// The gateway: one request and its answer, or an error that says what happened.

import { connection, tokens, whole } from "./connection.js";
import { linesOf } from "./lines.js";

/** @typedef {import("./bytes.js").Pair} Pair */

/**
 * @typedef {object} Problem A problem of RFC 9457, with the members of this gateway.
 * @property {string} [type]
 * @property {string} title
 * @property {number} status
 * @property {string} detail
 * @property {string} [pointer]
 * @property {number} [line]
 * @property {string} [parameter]
 * @property {number} [applied]
 * @property {{ key: string, reason: string }[]} [failed]
 * @property {string[]} [not_attempted]
 * @property {number} [resume_line]
 * @property {string} [request_id]
 * @property {string} [variable]
 * @property {number} [limit]
 * @property {number} [actual]
 * @property {string} [retry_after] The header Retry-After, in seconds.
 */

/** The gateway's own address. It may be under any path, which may lack its last slash. */
export const base = new URL(location.pathname.replace(/\/?$/, "/"), location.origin);

const TOKEN_ITEM = `kv-batch token ${base.pathname}`;

/** The store that the address names; "default" if it names none. */
export function addressedStore() {
  const text = location.hash.slice(1);
  try {
    return decodeURIComponent(text) || "default";
  } catch {
    return text; // it was typed, with a % of its own
  }
}

const MOST_IN_JSON = 10_000;
/* Keys or pairs. The gateway takes no more in JSON unless it is set to. */

const LARGEST_JSON = 1024 * 1024;
/* Characters of keys and values. The gateway limits the size of JSON, and holds it in memory. */

/** What this tab works with. */
export const session = {
  store: addressedStore(),
  token: sessionStorage.getItem(TOKEN_ITEM) ?? "",

  /** Keeps a token for this tab; an empty one forgets it. @param {string} token */
  use(token) {
    this.token = token;
    if (token) sessionStorage.setItem(TOKEN_ITEM, token);
    else sessionStorage.removeItem(TOKEN_ITEM);
  },
};

/** The gateway refused, or could not do, what was asked. */
export class ProblemError extends Error {
  /** @param {Problem} problem */
  constructor(problem) {
    super(problem.detail);
    this.problem = problem;
  }

  get code() {
    return (this.problem.type ?? "").split("/").pop() ?? "";
  }
}

/**
 * @typedef {object} Call
 * @property {Record<string, string | number | null | undefined>} [query]
 * @property {unknown} [json] The body, as JSON.
 * @property {Blob} [lines] The body, as NDJSON.
 * @property {string} [accept]
 * @property {AbortSignal} [signal]
 * @property {string} [store] The store; that of the session if none is given.
 * @property {boolean} [asks] Whether it waits for a token after a 401, and is then sent again. True unless given.
 */

/**
 * Sends a request to a store.
 *
 * After a 401 the page asks for a token. When one is entered, the request is sent again with it, so that what the
 * user does goes on.
 * @param {string} method
 * @param {string} path The path behind the store.
 * @param {Call} [call]
 * @returns {Promise<Response>} An answer of 2xx.
 * @throws {ProblemError | Lost | DOMException} The last if the signal was aborted.
 */
export async function request(method, path, call = {}) {
  const url = new URL(`v1/${encodeURIComponent(call.store ?? session.store)}${path}`, base);
  for (const [name, value] of Object.entries(call.query ?? {})) {
    if (value !== null && value !== undefined) url.searchParams.set(name, String(value));
  }
  const body = call.json !== undefined ? JSON.stringify(call.json) : call.lines;
  for (;;) {
    const { token } = session;
    const headers = headersOf(call, token);
    const response = await whole(fetch(url, { method, headers, body, signal: call.signal, cache: "no-store" }));
    connection.dispatchEvent(new Event("found"));
    if (response.ok) return response;
    const error = new ProblemError(problemOf(response, await whole(response.text())));
    if (error.problem.status !== 401) throw error;
    if (session.token !== token) continue; // another request has asked for it
    const entered = tokens.ask(error.problem);
    if (call.asks === false || !(await entered)) throw error;
  }
}

/** @param {Call} call @param {string} token @returns {Record<string, string>} */
function headersOf(call, token) {
  /** @type {Record<string, string>} */
  const headers = {};
  // A header holds bytes: the token is sent as UTF-8.
  if (token) headers.authorization = `Bearer ${String.fromCharCode(...new TextEncoder().encode(token))}`;
  if (call.accept) headers.accept = call.accept;
  if (call.json !== undefined) headers["content-type"] = "application/json";
  if (call.lines !== undefined) headers["content-type"] = "application/x-ndjson";
  return headers;
}

/** @param {Response} response @param {string} text @returns {Problem} */
function problemOf(response, text) {
  try {
    const problem = JSON.parse(text);
    const retryAfter = response.headers.get("retry-after");
    if (typeof problem.detail === "string") return retryAfter ? { ...problem, retry_after: retryAfter } : problem;
  } catch {
    // It is not JSON.
  }
  return {
    title: "An answer that is not from kv-batch",
    status: response.status,
    detail: `The answer has the status ${response.status} ${response.statusText} and is no problem of kv-batch. A proxy ` +
      "in front of the gateway may have sent it.",
  };
}

/** @param {string} method @param {string} path @param {Call} [call] */
async function json(method, path, call) {
  return whole((await request(method, path, call)).json());
}

/**
 * One page of keys.
 * @param {string} prefix @param {string | null} after @param {number} limit @param {AbortSignal} [signal]
 * @returns {Promise<{ keys: string[], next: string | null }>}
 */
export function listKeys(prefix, after, limit, signal) {
  return json("GET", "/keys", { query: { prefix: prefix || null, after, limit }, signal, asks: false });
}

/** Objects as the lines of a body. @param {unknown[]} objects */
function linesBody(objects) {
  return new Blob(objects.map((each) => JSON.stringify(each) + "\n"));
}

/**
 * The pairs of keys, one after another in the order of the keys, as they arrive.
 * @param {string[]} keys @param {AbortSignal} [signal]
 * @returns {AsyncGenerator<Pair>}
 */
export async function* readMany(keys, signal) {
  const response = await request("POST", "/get-many", { lines: linesBody(keys.map((key) => ({ key }))), signal });
  for await (const line of linesOf(response)) {
    const pair = JSON.parse(line);
    if (pair.problem) throw new ProblemError(pair.problem);
    yield pair;
  }
}

/** The pair of one key. Its value may be larger than an answer in JSON may be. @param {string} key @returns {Promise<Pair>} */
export async function readOne(key) {
  for await (const pair of readMany([key])) return pair;
  throw new Error("The answer was cut before its first line.");
}

/** Writes pairs, as JSON or, if they are large or many, as NDJSON. @param {Pair[]} pairs @param {string} store */
export function setMany(pairs, store) {
  const size = pairs.reduce((sum, pair) => sum + pair.key.length + (pair.value ?? "").length, 0);
  if (pairs.length <= MOST_IN_JSON && size <= LARGEST_JSON) return json("POST", "/set-many", { json: { pairs }, store });
  return json("POST", "/set-many", { lines: linesBody(pairs), accept: "application/json", store });
}

/** @param {string[]} keys @param {string} store */
export function deleteMany(keys, store) {
  if (keys.length <= MOST_IN_JSON) return json("POST", "/delete-many", { json: { keys }, store });
  return json("POST", "/delete-many", { lines: linesBody(keys.map((key) => ({ key }))), accept: "application/json", store });
}

/**
 * Deletes, or only counts, every key with a prefix.
 * @param {string} prefix @param {boolean} dryRun @param {string} store
 * @returns {Promise<number>}
 */
export async function deletePrefix(prefix, dryRun, store) {
  const query = { ...prefixQuery(prefix), "dry-run": dryRun ? "true" : null };
  return (await json("DELETE", "/keys", { query, store })).keys;
}

/** The query that names all keys with a prefix. @param {string} prefix @returns {Record<string, string>} */
export function prefixQuery(prefix) {
  return prefix ? { prefix } : { all: "true" };
}

/** The labels of the stores that the gateway itself names. @returns {Promise<string[]>} */
export async function knownStores() {
  const answer = await whole(fetch(new URL("readyz", base), { cache: "no-store" }));
  connection.dispatchEvent(new Event("found"));
  return Object.keys((await answer.json()).stores ?? {});
}

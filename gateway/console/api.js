// The gateway: one request and its answer, or an error that says what happened.

import { connection, whole } from "./connection.js";
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
 * @property {BodyInit} [lines] The body, as NDJSON.
 * @property {string} [accept]
 * @property {AbortSignal} [signal]
 * @property {string} [store] The store; that of the session if none is given.
 */

/**
 * Sends a request to a store.
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
  /** @type {Record<string, string>} */
  const headers = {};
  // A header holds bytes: the token is sent as UTF-8.
  const token = String.fromCharCode(...new TextEncoder().encode(session.token));
  if (token) headers.authorization = `Bearer ${token}`;
  if (call.accept) headers.accept = call.accept;
  if (call.json !== undefined) headers["content-type"] = "application/json";
  if (call.lines !== undefined) headers["content-type"] = "application/x-ndjson";
  const body = call.json !== undefined ? JSON.stringify(call.json) : call.lines;
  const response = await whole(fetch(url, { method, headers, body, signal: call.signal, cache: "no-store" }));
  connection.dispatchEvent(new Event("found"));
  if (response.ok) return response;
  const error = new ProblemError(problemOf(response, await whole(response.text())));
  if (error.problem.status === 401) connection.dispatchEvent(new CustomEvent("unauthorized", { detail: error.problem }));
  throw error;
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
  return json("GET", "/keys", { query: { prefix: prefix || null, after, limit }, signal });
}

/**
 * The pairs of keys, one after another in the order of the keys, as they arrive.
 * @param {string[]} keys @param {AbortSignal} [signal]
 * @returns {AsyncGenerator<Pair>}
 */
export async function* readMany(keys, signal) {
  const lines = new Blob(keys.map((key) => JSON.stringify({ key }) + "\n"));
  const response = await request("POST", "/get-many", { lines, signal });
  for await (const line of linesOf(response)) {
    const pair = JSON.parse(line);
    if (pair.problem) throw new ProblemError(pair.problem);
    yield pair;
  }
}

/** The pair of one key. @param {string} key @returns {Promise<Pair>} */
export async function readOne(key) {
  return (await json("POST", "/get-many", { json: { keys: [key] } })).pairs[0];
}

/** @param {Pair[]} pairs @param {string} store */
export function setMany(pairs, store) {
  return json("POST", "/set-many", { json: { pairs }, store });
}

/** @param {string[]} keys */
export function deleteMany(keys) {
  if (keys.length <= 10_000) return json("POST", "/delete-many", { json: { keys } });
  const lines = new Blob(keys.map((key) => JSON.stringify({ key }) + "\n"));
  return json("POST", "/delete-many", { lines, accept: "application/json" });
}

/**
 * Deletes, or only counts, every key with a prefix.
 * @param {string} prefix @param {boolean} dryRun
 * @returns {Promise<number>}
 */
export async function deletePrefix(prefix, dryRun) {
  const query = { ...prefixQuery(prefix), "dry-run": dryRun ? "true" : null };
  return (await json("DELETE", "/keys", { query })).keys;
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

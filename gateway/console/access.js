// Who asks, of what store, and whether the gateway can be reached.

import { addressedStore, base, knownStores, session } from "./api.js";
import { mayDiscard, setUnsaved } from "./ask.js";
import { connection } from "./connection.js";
import { byId, el, say, visible } from "./dom.js";

/** Tells of "changed": another token or another store. What is listed is then another's. */
export const access = new EventTarget();

const dialog = /** @type {HTMLDialogElement} */ (byId("token-dialog"));
const field = /** @type {HTMLInputElement} */ (byId("token"));

function showAccess() {
  byId("access").textContent = session.token ? "Token in use" : "No token";
  byId("token-forget").hidden = !session.token;
}

/** Why a token is needed, without the words for callers that set a header. @param {string} detail */
export function tokenReason(detail) {
  return detail.replace(/Send (one|a token): authorization: Bearer TOKEN\./, "Enter the token of this gateway.");
}

/** Asks for a token. @param {string} [reason] */
export function askToken(reason) {
  byId("token-reason").replaceChildren(...(reason ? [el("p", { class: "refusal", role: "alert" }, ...visible(reason))] : []));
  if (!dialog.open) {
    field.value = "";
    dialog.showModal();
  }
  field.focus();
}

/** @param {string} token */
function use(token) {
  session.use(token);
  showAccess();
  dialog.close();
  access.dispatchEvent(new Event("changed"));
}

byId("token-open").onclick = () => askToken();
byId("token-cancel").onclick = () => dialog.close();
byId("token-forget").onclick = () => {
  use("");
  say("The token is forgotten.");
};
byId("token-form").onsubmit = (event) => {
  event.preventDefault();
  const token = field.value.trim();
  field.value = "";
  if (token) use(token);
  else askToken("Type the token first.");
};
connection.addEventListener("unauthorized", (event) => {
  const { detail } = /** @type {CustomEvent} */ (event).detail;
  askToken(session.token ? `The gateway does not accept the token of this tab. ${detail}` : tokenReason(detail));
});

// A lost connection: it is tried again, less and less often, until the gateway answers.

const LONGEST_PAUSE = 30;
/* Seconds. */

let pause = 0;
let timer = 0;

connection.addEventListener("lost", () => {
  byId("lost").hidden = false;
  byId("lost-text").textContent = `Nothing answers at ${base.origin}. What you typed is kept.`;
  if (timer) return;
  pause = Math.min(pause ? pause * 2 : 1, LONGEST_PAUSE);
  timer = setTimeout(tryAgain, pause * 1000);
});
connection.addEventListener("found", () => {
  clearTimeout(timer);
  timer = pause = 0;
  if (byId("lost").hidden) return;
  byId("lost").hidden = true;
  say("The gateway answers again.");
  connection.dispatchEvent(new Event("back"));
});

async function tryAgain() {
  clearTimeout(timer);
  timer = 0;
  await knownStores().catch(() => {});
}

byId("lost-retry").onclick = tryAgain;

// The store.

const store = /** @type {HTMLInputElement} */ (byId("store"));

/** @param {string} label */
function open(label) {
  session.store = label;
  store.value = label;
  document.title = `${label} · kv-batch`;
  const hash = `#${encodeURIComponent(label)}`;
  if (location.hash !== hash) history.replaceState(null, "", hash);
}

/** Opens another store, unless an edited value of this one is kept. @param {string} label */
async function change(label) {
  const kept = label !== session.store && !(await mayDiscard("value"));
  open(kept ? session.store : label);
  if (!kept) access.dispatchEvent(new Event("changed"));
}

byId("store-form").onsubmit = (event) => {
  event.preventDefault();
  change(store.value || session.store);
};
addEventListener("hashchange", () => change(addressedStore()));

/** Shows the store and the token of the session, and proposes the stores that the gateway names. */
export async function begin() {
  /** @type {HTMLAnchorElement} */ (byId("reference")).href = new URL("docs", base).href;
  open(session.store);
  showAccess();
  setUnsaved("", null);
  try {
    byId("stores").replaceChildren(...(await knownStores()).map((label) => el("option", { value: label })));
  } catch {
    // It is only a proposal.
  }
}

// Who asks, of what store, and whether the gateway can be reached.

import { base, knownStores, session } from "./api.js";
import { setUnsaved } from "./ask.js";
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
  askToken(session.token ? `The gateway does not accept the token of this tab. ${detail}` : detail);
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

byId("store-form").onsubmit = (event) => {
  event.preventDefault();
  if (!store.value || store.value === session.store) return access.dispatchEvent(new Event("changed"));
  open(store.value);
  return access.dispatchEvent(new Event("changed"));
};
addEventListener("hashchange", () => {
  open(decodeURIComponent(location.hash.slice(1)) || "default");
  access.dispatchEvent(new Event("changed"));
});

/** Shows the store and the token of the session, and proposes the stores that the gateway names. */
export async function begin() {
  open(session.store);
  showAccess();
  setUnsaved("", null);
  try {
    byId("stores").replaceChildren(...(await knownStores()).map((label) => el("option", { value: label })));
  } catch {
    // It is only a proposal.
  }
}

// Who asks, of what store, and whether the gateway can be reached.

import { addressedStore, base, knownStores, session } from "./api.js";
import { ask, mayDiscard, setUnsaved, unsavedIn } from "./ask.js";
import { connection, tokens } from "./connection.js";
import { byId, el, say, visible } from "./dom.js";
import { closeValue } from "./value.js";

/** Tells of "store" (another store is open) and of "again" (with another token, what is shown is read again). */
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

/** @type {((entered: boolean) => void)[]} The requests that wait for a token. */
let waiting = [];

/** Lets the requests that wait go on. @param {boolean} entered */
function settle(entered) {
  const those = waiting;
  waiting = [];
  for (const each of those) each(entered);
}

/** @param {string} token */
function use(token) {
  session.use(token);
  showAccess();
  settle(token !== "");
  dialog.close();
  access.dispatchEvent(new Event("again"));
}

byId("token-open").onclick = () => askToken();
byId("token-cancel").onclick = () => dialog.close();
// The event comes late, when the dialog may be open again.
dialog.onclose = () => dialog.open || settle(false);
byId("token-forget").onclick = async () => {
  if (!(await closeValue(false))) return;
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
tokens.ask = ({ detail }) => {
  askToken(session.token ? `The gateway does not accept the token of this tab. ${detail}` : tokenReason(detail));
  return new Promise((resolve) => waiting.push(resolve));
};

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

/** Whether another store may be opened; asks if something is not written yet. @param {string} label */
async function mayOpen(label) {
  if (!(await mayDiscard("value"))) return false;
  const what = unsavedIn("write");
  if (what === null) return true;
  return ask({
    title: `Open the store ${label}?`,
    text: [el("p", {}, what), el("p", {}, `What is in the table stays there. The button Write then writes it to ${label}.`)],
    yes: `Open ${label}`,
  });
}

/** @param {string} label */
async function change(label) {
  if (label === session.store) {
    open(label);
    access.dispatchEvent(new Event("again"));
    return;
  }
  const may = await mayOpen(label);
  open(may ? label : session.store);
  if (may) access.dispatchEvent(new Event("store"));
}

byId("store-form").onsubmit = (event) => {
  event.preventDefault();
  change(store.value || session.store);
};
addEventListener("hashchange", () => {
  if (addressedStore() !== session.store) change(addressedStore());
});

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

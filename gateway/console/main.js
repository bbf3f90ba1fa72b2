// The console: what a person does with the stores of this gateway.

import { access, begin } from "./access.js";
import { byId } from "./dom.js";
import { showExport } from "./export.js";
import { showLines } from "./import.js";
import { listTyped } from "./keys.js";
import "./read.js";
import { closeValue } from "./value.js";
import { tasks } from "./views.js";

byId("value-close").onclick = () => closeValue();
addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || byId("value").hidden || document.querySelector("dialog[open]")) return;
  if (event.target instanceof HTMLInputElement && event.target.type === "search" && event.target.value) return; // it is cleared
  event.preventDefault(); // Escape would also close the question that it opens
  closeValue();
});

/** The curl lines that do not depend on what is typed. */
function showStanding() {
  showLines();
  showExport();
}

tasks.addEventListener("shown", showStanding);
for (const event of ["store", "again"]) access.addEventListener(event, showStanding);
access.addEventListener("store", () => closeValue(false));

begin();
showStanding();
listTyped();

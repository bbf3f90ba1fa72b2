// The peer *javascript*: get-many, set-many and delete-many as a JavaScript user of Spin writes them first.
// It checks nothing.

import { Store } from "fermyon:spin/key-value@2.0.0";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function answer(operation, asked) {
  const store = Store.open("default");
  switch (operation) {
    case "get-many": {
      const value = (key) => {
        const bytes = store.get(key);
        return bytes === undefined ? null : decoder.decode(bytes);
      };
      return { pairs: asked.keys.map((key) => ({ key, value: value(key) })) };
    }
    case "set-many":
      for (const { key, value } of asked.pairs) store.set(key, encoder.encode(value));
      return { pairs: asked.pairs.length };
    default:
      for (const key of asked.keys) store.delete(key);
      return { keys: asked.keys.length };
  }
}

async function handle(request) {
  const operation = new URL(request.url).pathname.split("/").pop();
  const body = JSON.stringify(answer(operation, await request.json()));
  return new Response(body, { headers: { "content-type": "application/json" } });
}

addEventListener("fetch", (event) => event.respondWith(handle(event.request)));

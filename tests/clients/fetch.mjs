// Node's fetch. Usage: see README.md.
import { readFileSync } from "node:fs";

async function send(url, options) {
  try {
    const answer = await fetch(url, { method: "POST", ...options });
    return { status: answer.status, body: await answer.text() };
  } catch (error) {
    return { error: `${error}: ${error.cause}` };
  }
}

const [verb, url, ...rest] = process.argv.slice(2);
if (verb === "post") {
  const [file, tries, ...headers] = rest;
  const body = readFileSync(file);
  for (let count = 0; count < Number(tries); count++) {
    const fields = headers.map((header) => [header.split(": ", 1)[0], header.slice(header.indexOf(": ") + 2)]);
    console.log(JSON.stringify(await send(url, { body, headers: fields })));
  }
} else {
  const form = new FormData();
  for (let at = 0; at < rest.length; at += 2) form.append(rest[at], rest[at + 1]);
  console.log(JSON.stringify(await send(url, { body: form })));
}

// JSON as text. It is indented without parsing its numbers, so that none loses a digit.

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

const DEEPEST = 50;
/* Levels. A text of brackets alone would become many times as long. */

/**
 * The same JSON, indented.
 * @param {string} text
 * @throws {SyntaxError} It is not JSON.
 */
export function indentJson(text) {
  JSON.parse(text);
  const out = [];
  let depth = 0;
  let before = "";
  const newLine = () => "\n" + "  ".repeat(Math.min(depth, DEEPEST));
  for (const [token] of text.matchAll(TOKEN)) {
    const closes = token === "}" || token === "]";
    if (closes) depth--;
    const opened = before === "{" || before === "[";
    if ((opened && !closes) || before === "," || (closes && !opened)) out.push(newLine());
    out.push(token === ":" ? ": " : token);
    if (token === "{" || token === "[") depth++;
    before = token;
  }
  return out.join("");
}

// Values are bytes. On the wire a value is text if it is valid UTF-8, and base64 otherwise.

const ENCODER = new TextEncoder();
const STRICT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** @typedef {{ key: string, value: string | null, encoding?: "base64" }} Pair */
/** @typedef {"text" | "hex" | "base64"} Format */

/** A value of the store. */
export class Value {
  /** @param {string | null} text The value if it is valid UTF-8. @param {Uint8Array | null} bytes */
  constructor(text, bytes) {
    this.text = text;
    this._bytes = bytes;
  }

  /** The value of a pair from the wire; null if the key is missing. @param {Pair} pair */
  static of(pair) {
    if (pair.value === null) return null;
    return pair.encoding === "base64" ? Value.ofBytes(fromBase64(pair.value)) : new Value(pair.value, null);
  }

  /** @param {Uint8Array} bytes */
  static ofBytes(bytes) {
    let text = null;
    try {
      text = STRICT.decode(bytes);
    } catch {
      // It is not UTF-8.
    }
    return new Value(text, bytes);
  }

  get bytes() {
    return (this._bytes ??= ENCODER.encode(this.text ?? ""));
  }

  get size() {
    return this.bytes.length;
  }

  /** Whether a text field would keep the text as it is: it changes line ends, and hides control characters. */
  get fitsTextField() {
    return this.text !== null && !/[\u0000-\u0008\u000b-\u001f\u007f]/.test(this.text);
  }

  /** The pair as it is sent. @param {string} key @returns {Pair} */
  pair(key) {
    if (this.text !== null) return { key, value: this.text };
    return { key, value: toBase64(this.bytes), encoding: "base64" };
  }

  /** @param {Format} format */
  as(format) {
    if (format === "hex") return toHex(this.bytes);
    return format === "base64" ? toBase64(this.bytes) : this.text ?? "";
  }

  /**
   * The value that was typed in a format.
   * @param {string} typed
   * @param {Format} format
   * @throws {Error} It is not of that format. The message says why.
   */
  static typed(typed, format) {
    if (format === "text") {
      if (!typed.isWellFormed()) throw new Error("The text has half of a surrogate pair, which is not Unicode text.");
      return new Value(typed, null);
    }
    const digits = typed.replace(/\s+/g, "");
    if (format === "base64") {
      try {
        return Value.ofBytes(fromBase64(digits));
      } catch {
        throw new Error("This is not base64. Use A–Z, a–z, 0–9, + and /, padded with =.");
      }
    }
    if (digits.length % 2 || /[^0-9a-f]/i.test(digits)) {
      throw new Error("This is not hexadecimal. Each byte needs two digits of 0–9 and a–f.");
    }
    return Value.ofBytes(Uint8Array.from(digits.match(/../g) ?? [], (byte) => parseInt(byte, 16)));
  }
}

/** @param {string} text */
export function fromBase64(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let index = 0; index < bytes.length; index++) bytes[index] = binary.charCodeAt(index);
  return bytes;
}

/** @param {Uint8Array} bytes */
export function toBase64(bytes) {
  const step = 0x6000;
  let binary = "";
  for (let start = 0; start < bytes.length; start += step) {
    binary += String.fromCharCode(...bytes.subarray(start, start + step));
  }
  return btoa(binary);
}

const DIGITS = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** @param {Uint8Array} bytes */
export function toHex(bytes) {
  return Array.from(bytes, (byte) => DIGITS[byte]).join(" ");
}

/**
 * A hex dump: the offset, 16 bytes, and the same bytes as ASCII, per line.
 * @param {Uint8Array} bytes
 * @param {number} start
 * @param {number} end
 */
export function hexDump(bytes, start, end) {
  const lines = [];
  for (let offset = start; offset < end; offset += 16) {
    const row = bytes.subarray(offset, Math.min(offset + 16, end));
    const ascii = Array.from(row, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·")).join("");
    lines.push(`${offset.toString(16).padStart(8, "0")}  ${toHex(row).padEnd(47)}  ${ascii}`);
  }
  return lines.join("\n");
}

/** A size in words. @param {number} size */
export function sizeText(size) {
  if (size < 1024) return size === 1 ? "1 byte" : `${size} bytes`;
  const unit = size < 1024 ** 2 ? "KiB" : size < 1024 ** 3 ? "MiB" : "GiB";
  const divisor = { KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 }[unit];
  return `${(size / divisor).toLocaleString("en", { maximumSignificantDigits: 3 })} ${unit}`;
}

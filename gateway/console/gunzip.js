// Decompresses gzip. DecompressionStream takes one member; a file may have several, one after another (RFC 1952).
//
// A stream does not tell where its data ended, so each place that looks like the start of a member is checked: the
// four bytes before it must be the size of the member that ends there. DecompressionStream then checks the CRC.

const HEADER = 4;
/* Bytes of a member's start that are compared: its magic number, its method, and its flags. */

/** @param {Uint8Array} bytes @param {number} at */
function startsMember(bytes, at) {
  return bytes[at + 1] === 0x8b && bytes[at + 2] === 8 && bytes[at + 3] < 0x20;
}

/** A member that is being decompressed. */
class Member {
  /** @param {TransformStreamDefaultController<Uint8Array>} out Takes its content. */
  constructor(out) {
    const stream = new DecompressionStream("gzip");
    this.writer = stream.writable.getWriter();
    this.size = 0;
    /** The last bytes that were written. */
    this.last = new Uint8Array();
    this.reading = this.read(stream.readable.getReader(), out);
    this.reading.catch(() => {}); // write() or end() throws it too
  }

  /** @param {ReadableStreamDefaultReader<Uint8Array>} reader @param {TransformStreamDefaultController<Uint8Array>} out */
  async read(reader, out) {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      this.size += value.length;
      out.enqueue(value);
    }
  }

  /** @param {Uint8Array} bytes @throws {TypeError} They are not gzip. */
  async write(bytes) {
    if (!bytes.length) return;
    await this.writer.write(/** @type {Uint8Array<ArrayBuffer>} */ (bytes));
    this.last = new Uint8Array([...this.last, ...bytes.subarray(-4)]).slice(-4);
  }

  /** Whether the bytes that were written may be all of this member. */
  async mayEnd() {
    await new Promise((resolve) => setTimeout(resolve)); // the content of these bytes is read by then
    return this.last.length === 4 && new DataView(this.last.buffer).getUint32(0, true) === this.size % 2 ** 32;
  }

  /** @throws {TypeError} The member is cut or damaged. */
  async end() {
    await this.writer.close();
    await this.reading;
  }
}

/**
 * A stream that decompresses gzip of one member or more.
 * @returns {TransformStream<Uint8Array, Uint8Array>}
 */
export function gunzip() {
  /** @type {Member | null} */
  let member = null;
  let held = new Uint8Array();
  return new TransformStream({
    async transform(chunk, out) {
      const bytes = new Uint8Array(held.length + chunk.length);
      bytes.set(held);
      bytes.set(chunk, held.length);
      member ??= new Member(out);
      let from = 0;
      const last = bytes.length - HEADER;
      for (let at = bytes.indexOf(0x1f); at >= 0 && at <= last; at = bytes.indexOf(0x1f, at + 1)) {
        if (!startsMember(bytes, at)) continue;
        await member.write(bytes.subarray(from, at));
        from = at;
        if (!(await member.mayEnd())) continue;
        await member.end();
        member = new Member(out);
      }
      const end = Math.max(from, bytes.length - HEADER + 1);
      await member.write(bytes.subarray(from, end));
      held = bytes.slice(end);
    },
    async flush() {
      await member?.write(held);
      await member?.end();
    },
  });
}

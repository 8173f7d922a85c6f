/**
 * What travels in a benchmark: a pattern whose every byte depends on its offset in the stream, so that bytes lost,
 * doubled or swapped are seen. `go/main.go` makes the same pattern.
 */

/** A power of two: the byte at stream offset `o` is `pattern[o % period]`. */
const period = 512 * 1024;
export const chunkBytes = 64 * 1024;
export const messageBytes = 128;
export const echoBytes = 1024;
export const pingBytes = 64;
export const headerBytes = 16;

/** The first byte of a stream tells the server what to do with it. */
export const Operation = { sink: 1, echo: 2, ping: 3, idle: 4, ignore: 5 };

export const pattern = xorshift(period);
/** The pattern in pieces, made once: slicing it for each message would be measured as well. */
export const chunks = slices(chunkBytes);
export const messages = slices(messageBytes);

function xorshift(length) {
  const bytes = Buffer.allocUnsafeSlow(length);
  let x = 0x9e3779b9;
  for (let i = 0; i < length; i += 4) {
    x ^= x << 13;
    x >>>= 0;
    x ^= x >>> 17;
    x ^= x << 5;
    x >>>= 0;
    bytes.writeUInt32LE(x, i);
  }
  return bytes;
}

function slices(length) {
  return Array.from({ length: period / length }, (_, i) => pattern.subarray(i * length, (i + 1) * length));
}

/**
 * The number of wrong bytes among those sampled: every 1024th of the stream, and the last of each chunk (what is cut
 * off or repeated shows there). `offset` is where the chunk begins in the stream.
 */
export function countWrong(bytes, offset) {
  let wrong = 0;
  const { length } = bytes;
  for (let i = (1024 - (offset & 1023)) & 1023; i < length; i += 1024) {
    if (bytes[i] !== pattern[(offset + i) & (period - 1)]) wrong++;
  }
  if (length > 0 && bytes[length - 1] !== pattern[(offset + length - 1) & (period - 1)]) wrong++;
  return wrong;
}

/** The 16 bytes a stream begins with. `length` is what the server shall wait for. */
export function header(operation, length) {
  const bytes = Buffer.alloc(headerBytes);
  bytes[0] = operation;
  bytes.writeUInt32BE(length, 4);
  return bytes;
}

/** A whole message, header included, filled up with the pattern. */
export function message(operation, length) {
  return Buffer.concat([header(operation, length), pattern.subarray(0, length - headerBytes)]);
}

/** Bytes 8 to 11 carry a number that the echo must bring back. */
export const sequenceOffset = 8;
export function readUint32(bytes, offset) {
  return (
    ((bytes[offset] << 24) | (bytes[offset + 1] << 16) | (bytes[offset + 2] << 8) | bytes[offset + 3]) >>> 0
  );
}

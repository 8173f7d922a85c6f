import { isUtf8 } from 'node:buffer';
import { utf8 } from '../core/bytes.js';
import { StreamError } from '../core/errors.js';
import {
  MSG_CHANNEL_CLOSE,
  MSG_CHANNEL_DATA,
  MSG_CHANNEL_EOF,
  MSG_CHANNEL_EXTENDED_DATA,
  MSG_CHANNEL_FAILURE,
  MSG_CHANNEL_OPEN,
  MSG_CHANNEL_OPEN_CONFIRMATION,
  MSG_CHANNEL_OPEN_FAILURE,
  MSG_CHANNEL_REQUEST,
  MSG_CHANNEL_SUCCESS,
  MSG_CHANNEL_WINDOW_ADJUST,
  MSG_DISCONNECT,
  MSG_GLOBAL_REQUEST,
  MSG_REQUEST_FAILURE,
  MSG_REQUEST_SUCCESS,
  MSG_UNIMPLEMENTED,
  messageName,
  TYPE_STREAM,
} from './frames.js';

/** Names of requests, types and algorithms are short (RFC 4250 §4.6.1 has 64 characters); the rest gets some room. */
const maxNameBytes = 1024;

/** What a peer says for people must not end the connection for a byte that is no UTF-8. */
const lenient: TextDecoder = new TextDecoder('utf-8', { ignoreBOM: true });
const strict: TextDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
/** It comes with each stream of ours, and is compared in less time than it takes to decode it. */
const streamType: Uint8Array = utf8.encode(TYPE_STREAM);

/** Told what the peer's messages say. `recipient` is the number that we gave the channel. */
export interface SshHandler {
  disconnect(reason: number, description: string): void;
  globalRequest(name: string, wantsReply: boolean, data: PayloadReader): void;
  requestSuccess(data: PayloadReader): void;
  requestFailure(): void;
  channelOpen(type: string, sender: number, window: number, maxPacket: number, data: PayloadReader): void;
  openConfirmation(
    recipient: number,
    sender: number,
    window: number,
    maxPacket: number,
    data: PayloadReader,
  ): void;
  openFailure(recipient: number, reason: number, description: string): void;
  windowAdjust(recipient: number, bytes: number): void;
  data(recipient: number, chunk: Uint8Array): void;
  extendedData(recipient: number, type: number, chunk: Uint8Array): void;
  eof(recipient: number): void;
  close(recipient: number): void;
  channelRequest(recipient: number, name: string, wantsReply: boolean, data: PayloadReader): void;
  channelSuccess(recipient: number): void;
  channelFailure(recipient: number): void;
  unknown(type: number): void;
}

/** Reads one message, the payload of a packet (RFC 4254). Throws a StreamError where it is not of its form. */
export function readMessage(payload: Uint8Array, handler: SshHandler): void {
  const type = payload[0] as number;
  const reader = new PayloadReader(payload, 1);
  switch (type) {
    case MSG_CHANNEL_DATA: {
      const recipient = reader.uint32();
      handler.data(recipient, reader.last(reader.bytes()));
      return;
    }
    case MSG_CHANNEL_WINDOW_ADJUST: {
      const recipient = reader.uint32();
      handler.windowAdjust(recipient, reader.last(reader.uint32()));
      return;
    }
    case MSG_CHANNEL_EXTENDED_DATA: {
      const recipient = reader.uint32();
      const kind = reader.uint32();
      handler.extendedData(recipient, kind, reader.last(reader.bytes()));
      return;
    }
    case MSG_CHANNEL_EOF:
      handler.eof(reader.last(reader.uint32()));
      return;
    case MSG_CHANNEL_CLOSE:
      handler.close(reader.last(reader.uint32()));
      return;
    case MSG_CHANNEL_SUCCESS:
      handler.channelSuccess(reader.last(reader.uint32()));
      return;
    case MSG_CHANNEL_FAILURE:
      handler.channelFailure(reader.last(reader.uint32()));
      return;
    case MSG_CHANNEL_REQUEST: {
      const recipient = reader.uint32();
      const name = reader.name();
      handler.channelRequest(recipient, name, reader.boolean(), reader);
      return;
    }
    case MSG_CHANNEL_OPEN: {
      const name = reader.name();
      const sender = reader.uint32();
      const window = reader.uint32();
      handler.channelOpen(name, sender, window, reader.uint32(), reader);
      return;
    }
    case MSG_CHANNEL_OPEN_CONFIRMATION: {
      const recipient = reader.uint32();
      const sender = reader.uint32();
      const window = reader.uint32();
      // What follows belongs to the type of the channel.
      handler.openConfirmation(recipient, sender, window, reader.uint32(), reader);
      return;
    }
    case MSG_CHANNEL_OPEN_FAILURE: {
      const recipient = reader.uint32();
      const reason = reader.uint32();
      handler.openFailure(recipient, reason, reader.message());
      return;
    }
    case MSG_GLOBAL_REQUEST: {
      const name = reader.name();
      handler.globalRequest(name, reader.boolean(), reader);
      return;
    }
    case MSG_REQUEST_SUCCESS:
      handler.requestSuccess(reader);
      return;
    case MSG_REQUEST_FAILURE:
      reader.last(undefined);
      handler.requestFailure();
      return;
    case MSG_UNIMPLEMENTED:
      // The link gives none but those that a global request of ours is answered with.
      reader.last(reader.uint32());
      handler.requestFailure();
      return;
    case MSG_DISCONNECT: {
      const reason = reader.uint32();
      handler.disconnect(reason, reader.message());
      return;
    }
    default:
      handler.unknown(type);
  }
}

/** The peer's message is not of its form: there is no telling where it went wrong. */
function malformed(message: string): StreamError {
  return new StreamError('protocol', message, { remote: true, reset: 'protocol-error' });
}

/** Reads the fields of a payload in turn (RFC 4251 §5), and no byte beyond it. */
export class PayloadReader {
  readonly #bytes: Uint8Array;
  #at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes;
    this.#at = at;
  }

  get isEmpty(): boolean {
    return this.#at === this.#bytes.length;
  }

  boolean(): boolean {
    return this.#bytes[this.#skip(1)] !== 0;
  }

  uint32(): number {
    const at = this.#skip(4);
    const bytes = this.#bytes;
    const high = ((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16);
    return (high | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)) >>> 0;
  }

  /** The bytes of a string, as a view. */
  bytes(): Uint8Array {
    const length = this.uint32();
    const at = this.#skip(length);
    const { buffer, byteOffset } = this.#bytes;
    return new Uint8Array(buffer, byteOffset + at, length);
  }

  /** The name of a type, a request or an algorithm. */
  name(): string {
    const bytes = this.bytes();
    return Buffer.compare(bytes, streamType) === 0 ? TYPE_STREAM : decode(bytes, maxNameBytes);
  }

  text(maxBytes: number): string {
    return decode(this.bytes(), maxBytes);
  }

  /** What a user has typed, in whatever encoding: null if it is not UTF-8. */
  typed(maxBytes: number): string | null {
    const bytes = this.bytes();
    return isUtf8(bytes) ? decode(bytes, maxBytes) : null;
  }

  /** A description and its language, as both kinds of failure end. */
  message(): string {
    const text = lenient.decode(this.bytes());
    // Old peers leave the language out.
    if (!this.isEmpty) this.bytes();
    return this.last(text);
  }

  /** Bytes that were not read yet. */
  get left(): number {
    return this.#bytes.length - this.#at;
  }

  rest(): Uint8Array {
    const at = this.#at;
    this.#at = this.#bytes.length;
    return this.#bytes.subarray(at);
  }

  /** `value` was the last field. */
  last<T>(value: T): T {
    if (this.isEmpty) return value;
    throw malformed(`${messageName(this.#bytes[0] as number)} of the peer is longer than its form`);
  }

  #skip(bytes: number): number {
    const at = this.#at;
    if (at + bytes > this.#bytes.length) throw malformed('a message of the peer is shorter than its form');
    this.#at = at + bytes;
    return at;
  }
}

function decode(bytes: Uint8Array, maxBytes: number): string {
  if (bytes.length > maxBytes) {
    throw malformed(`the peer sent a string of ${bytes.length} bytes where ${maxBytes} are allowed`);
  }
  try {
    return strict.decode(bytes);
  } catch {
    throw malformed('the peer sent text that is not UTF-8');
  }
}

/** A field of a message: a number is a uint32, text and `{ string }` have their length before them, bytes are raw. */
export type Field = number | boolean | string | Uint8Array | { readonly string: Uint8Array };

/** Makes a message of its fields (RFC 4251 §5). */
export function encodeMessage(type: number, ...fields: readonly Field[]): Uint8Array {
  const message = new Uint8Array(1 + fieldsLength(fields));
  message[0] = type;
  writeFields(message, 1, fields);
  return message;
}

export function encodeFields(fields: readonly Field[]): Uint8Array {
  const bytes = new Uint8Array(fieldsLength(fields));
  writeFields(bytes, 0, fields);
  return bytes;
}

/** How many bytes fields are on the wire. */
export function fieldsLength(fields: readonly Field[]): number {
  let length = 0;
  for (const field of fields) {
    if (typeof field === 'number') length += 4;
    else if (typeof field === 'boolean') length += 1;
    else if (typeof field === 'string') length += 4 + textLength(field);
    else length += field instanceof Uint8Array ? field.length : 4 + field.string.length;
  }
  return length;
}

/** Writes fields where there is room for them. */
export function writeFields(target: Uint8Array, start: number, fields: readonly Field[]): void {
  let at = start;
  for (const field of fields) {
    if (typeof field === 'number') at = writeUint32(target, at, field);
    else if (typeof field === 'boolean') target[at++] = field ? 1 : 0;
    else if (typeof field === 'string') {
      const end = writeText(target, at + 4, field);
      writeUint32(target, at, end - at - 4);
      at = end;
    } else {
      const bytes = field instanceof Uint8Array ? field : field.string;
      if (bytes !== field) at = writeUint32(target, at, bytes.length);
      target.set(bytes, at);
      at += bytes.length;
    }
  }
}

/** Most text is short and in ASCII, and is copied before a call to the encoder has come back. */
function textLength(text: string): number {
  for (let at = 0; at < text.length; at++) {
    if (text.charCodeAt(at) > 0x7f) return utf8.encode(text).length;
  }
  return text.length;
}

/** Returns where it ends. */
function writeText(target: Uint8Array, start: number, text: string): number {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code > 0x7f) {
      const bytes = utf8.encode(text);
      target.set(bytes, start);
      return start + bytes.length;
    }
    target[start + at] = code;
  }
  return start + text.length;
}

export function writeUint32(target: Uint8Array, at: number, value: number): number {
  target[at] = value >>> 24;
  target[at + 1] = value >>> 16;
  target[at + 2] = value >>> 8;
  target[at + 3] = value;
  return at + 4;
}

export function readUint32(bytes: Uint8Array, at: number): number {
  const high = ((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16);
  return (high | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)) >>> 0;
}

/** A header block: the number of headers, then names and values in turn. */
export function headerFields(headers: Iterable<readonly [string, string]>): readonly Field[] {
  const fields: Field[] = [0];
  for (const [name, value] of headers) fields.push(name, value);
  fields[0] = (fields.length - 1) / 2;
  return fields;
}

/** As much of a header block as the limits must know before it is unpacked. */
export interface HeaderBounds {
  readonly maxHeaders: number;
  readonly maxHeaderBlockBytes: number;
  readonly maxHeaderNameBytes: number;
  readonly maxHeaderValueBytes: number;
}

/**
 * Names and values in turn, or the error with which the stream is to be refused, and then what follows is not to be read.
 * Throws where the block is no block.
 */
export function decodeHeaders(reader: PayloadReader, bounds: HeaderBounds): readonly string[] | StreamError {
  const before = reader.left;
  const count = reader.uint32();
  if (count > bounds.maxHeaders) return tooMuch(`${count} headers, and ${bounds.maxHeaders} are allowed`);
  const flat: string[] = [];
  for (let at = 0; at < count; at++) {
    for (const most of [bounds.maxHeaderNameBytes, bounds.maxHeaderValueBytes]) {
      const bytes = reader.bytes();
      if (bytes.length > most) {
        return tooMuch(`a header name or value of ${bytes.length} bytes, and ${most} are allowed`);
      }
      const length = before - reader.left;
      if (length > bounds.maxHeaderBlockBytes) {
        return tooMuch(`headers of ${length} bytes or more, and ${bounds.maxHeaderBlockBytes} are allowed`);
      }
      try {
        flat.push(strict.decode(bytes));
      } catch {
        throw malformed('the peer sent a header that is not UTF-8');
      }
    }
  }
  return flat;
}

/** What the opener of a stream sends with its opening. */
export interface FirstData {
  readonly end: boolean;
  readonly bytes: Uint8Array;
}

/** What there is behind the headers of an opening; null if there is nothing. */
export function decodeFirst(reader: PayloadReader): FirstData | null {
  if (reader.isEmpty) return null;
  const end = reader.boolean();
  return reader.last({ end, bytes: reader.bytes() });
}

function tooMuch(what: string): StreamError {
  return new StreamError('limit', `the peer sent ${what}`, { remote: true });
}

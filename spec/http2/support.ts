import type { StreamError } from '../../lib/core/errors.js';
import {
  type FrameHandler,
  type FrameLimits,
  FrameParser,
  type Setting,
  writeFrameHeader,
} from '../../lib/http2/codec.js';
import { frameType, PREFACE } from '../../lib/http2/frames.js';
import { HpackEncoder } from '../../lib/http2/hpack.js';

/** A request's field block, which is the first of its connection or uses no table. */
export const post: Uint8Array = new HpackEncoder({ tableBytes: 0 }).encode([
  ':method',
  'POST',
  ':scheme',
  'http',
  ':authority',
  'a',
  ':path',
  '/',
]);

/** Promises and turns of the event loop have had their chance. */
export async function settled(): Promise<void> {
  for (let turns = 0; turns < 4; turns++) await new Promise((resolve) => setImmediate(resolve));
}

/** Bytes from hexadecimal text; blanks are for the reader. */
export function hex(text: string): Uint8Array {
  return Uint8Array.from(text.replace(/\s+/g, '').match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** Bytes from text, one per character. */
export function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

export function join(...parts: readonly Uint8Array[]): Uint8Array {
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}

/** One frame, right or wrong. */
export function frame(
  type: number,
  flags: number,
  streamId: number,
  payload: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const out = new Uint8Array(9 + payload.length);
  writeFrameHeader(out, 0, payload.length, type, flags, streamId);
  out.set(payload, 9);
  return out;
}

/** A frame header that announces a payload which never comes. */
export function header(length: number, type: number, flags: number, streamId: number): Uint8Array {
  const out = new Uint8Array(9);
  writeFrameHeader(out, 0, length, type, flags, streamId);
  return out;
}

export const preface: Uint8Array = latin1(PREFACE);
export const settings: Uint8Array = frame(frameType.SETTINGS, 0, 0);

function error(value: StreamError | undefined): unknown {
  return value === undefined ? undefined : { code: value.code, wireCode: value.wireCode };
}

/**
 * Writes down what it is told, in a form that does not depend on where the input was cut: the chunks of one DATA are
 * joined, and views are copied.
 */
export class Recorder implements FrameHandler {
  readonly events: unknown[] = [];
  readonly frames: string[] = [];
  /** Everything a view showed, in bytes. */
  byteLength = 0;
  chunks = 0;
  #data: Uint8Array[] = [];

  onFrame(type: number, flags: number, streamId: number, length: number): void {
    this.frames.push(`${type}/${flags}/${streamId}/${length}`);
  }

  onDataStart(streamId: number, length: number): void {
    this.events.push({ dataStart: streamId, length });
  }

  onData(_streamId: number, chunk: Uint8Array): void {
    this.byteLength += chunk.length;
    this.chunks++;
    this.#data.push(chunk.slice());
  }

  onDataEnd(streamId: number, endStream: boolean): void {
    this.events.push({ dataEnd: streamId, endStream, data: text(join(...this.#data)) });
    this.#data = [];
  }

  onHeaders(streamId: number, block: Uint8Array, endStream: boolean, reason: StreamError | undefined): void {
    this.byteLength += block.length;
    this.events.push({ headers: streamId, block: text(block), endStream, error: error(reason) });
  }

  onPriority(streamId: number): void {
    this.events.push({ priority: streamId });
  }

  onRstStream(streamId: number, code: number): void {
    this.events.push({ rstStream: streamId, code });
  }

  onSettings(list: readonly Setting[]): void {
    this.events.push({ settings: list });
  }

  onSettingsAck(): void {
    this.events.push('settings ack');
  }

  onPing(payload: Uint8Array, ack: boolean): void {
    this.byteLength += payload.length;
    this.events.push({ ping: text(payload), ack });
  }

  onGoAway(lastStreamId: number, code: number, debug: Uint8Array): void {
    this.byteLength += debug.length;
    this.events.push({ goAway: lastStreamId, code, debug: text(debug) });
  }

  onWindowUpdate(streamId: number, increment: number): void {
    this.events.push({ windowUpdate: streamId, increment });
  }

  onUnknown(type: number, streamId: number, length: number): void {
    this.events.push({ unknown: type, streamId, length });
  }

  onStreamError(streamId: number, reason: StreamError): void {
    this.events.push({ streamError: streamId, error: error(reason) });
  }

  /** Bytes of a DATA that has not ended. */
  get unfinished(): string {
    return text(join(...this.#data));
  }
}

export function text(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
}

/** What came of some input: events, and the error that ended the connection. */
export interface Outcome {
  readonly events: readonly unknown[];
  readonly unfinished: string;
  readonly error: StreamError | undefined;
  readonly recorder: Recorder;
  readonly parser: FrameParser;
}

/** Parses chunks, one after the other, `maxFrames` at a time. */
export function parseChunks(
  chunks: readonly Uint8Array[],
  role: 'client' | 'server' = 'client',
  limits?: FrameLimits,
  maxFrames?: number,
): Outcome {
  const recorder = new Recorder();
  const parser = new FrameParser(recorder, limits === undefined ? { role } : { role, limits });
  let thrown: StreamError | undefined;
  try {
    for (const chunk of chunks) {
      let at = 0;
      do at = parser.parse(chunk, at, maxFrames);
      while (at < chunk.length);
    }
  } catch (reason) {
    thrown = reason as StreamError;
  }
  return {
    events: recorder.events,
    unfinished: recorder.unfinished,
    error: thrown,
    recorder,
    parser,
  };
}

/** Parses frames that come after a client's view of the first SETTINGS, which is left out of the events. */
export function parseFrames(...frames: readonly Uint8Array[]): Outcome {
  const outcome = parseChunks([join(settings, ...frames)]);
  return { ...outcome, events: outcome.events.slice(1) };
}

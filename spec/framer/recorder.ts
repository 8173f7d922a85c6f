import { type FrameHandler, FrameParser } from '../../lib/framer/codec.js';
import { leastMaxFrame, type Settings } from '../../lib/framer/frames.js';
import type { HeaderBlock } from '../../lib/framer/payload.js';
import { toHex } from './bytes.js';

function list({ flat }: HeaderBlock): string {
  const pairs = flat.filter((_, at) => at % 2 === 0).map((name, at) => `${name}=${flat[2 * at + 1]}`);
  return `[${pairs.join(',')}]`;
}

/** Writes down what the parser says, in the words of vectors.json. Pieces of one DATA are joined. */
export class Recorder implements FrameHandler {
  readonly events: string[] = [];
  /** Each frame as `type flags id length`. */
  readonly frames: string[] = [];
  /** Header blocks as they came, for who wants to judge their names and values. */
  readonly blocks: HeaderBlock[] = [];
  /** Bytes of data and text that were handed over. */
  bytes = 0;
  #data = '';

  frame(type: number, flags: number, id: number, length: number): void {
    this.frames.push(`${type} ${flags} ${id} ${length}`);
  }
  settings({ role, initialWindow, connectionWindow, maxFrame }: Settings): void {
    this.events.push(
      `settings role=${role} initialWindow=${initialWindow} connectionWindow=${connectionWindow} maxFrame=${maxFrame}`,
    );
  }
  open(id: number, urgency: number, block: HeaderBlock, data: Uint8Array, end: boolean): void {
    this.#take(block, data);
    this.events.push(`open ${id} urgency=${urgency} end=${end} headers=${list(block)} data=${toHex(data)}`);
  }
  accept(id: number, block: HeaderBlock, data: Uint8Array, end: boolean): void {
    this.#take(block, data);
    this.events.push(`accept ${id} end=${end} headers=${list(block)} data=${toHex(data)}`);
  }
  refuse(id: number, code: number, reason: string, block: HeaderBlock): void {
    this.#take(block);
    this.events.push(`refuse ${id} code=${code} reason=${reason} headers=${list(block)}`);
  }
  data(id: number, chunk: Uint8Array, last: boolean, end: boolean): void {
    if (end && !last) throw new Error('the end came before the last piece');
    this.bytes += chunk.byteLength;
    this.#data += toHex(chunk);
    if (!last) return;
    this.events.push(`data ${id} end=${end} ${this.#data}`);
    this.#data = '';
  }
  credit(id: number, bytes: number): void {
    this.events.push(`credit ${id} ${bytes}`);
  }
  trailers(id: number, block: HeaderBlock): void {
    this.#take(block);
    this.events.push(`trailers ${id} headers=${list(block)}`);
  }
  stop(id: number, code: number): void {
    this.events.push(`stop ${id} code=${code}`);
  }
  reset(id: number, code: number, reason: string): void {
    this.events.push(`reset ${id} code=${code} reason=${reason}`);
  }
  ping(payload: Uint8Array): void {
    this.events.push(`ping ${toHex(payload)}`);
  }
  pong(payload: Uint8Array): void {
    this.events.push(`pong ${toHex(payload)}`);
  }
  goAway(lastId: number, code: number, reason: string): void {
    this.events.push(`goaway last=${lastId} code=${code} reason=${reason}`);
  }
  skip(type: number, length: number): void {
    this.events.push(`skip type=${type} length=${length}`);
  }

  #take(block: HeaderBlock, data?: Uint8Array): void {
    this.blocks.push(block);
    this.bytes += (data?.byteLength ?? 0) + Buffer.byteLength(block.flat.join(''));
  }
}

/** What a parser said about some input, and the error that ended it. */
export interface Outcome {
  readonly recorder: Recorder;
  readonly error: unknown;
}

/** Parses `pieces` in turn, `maxFrames` at a time. */
export function parsePieces(
  pieces: readonly Uint8Array[],
  maxFrame: number = leastMaxFrame,
  maxFrames: number = Number.POSITIVE_INFINITY,
): Outcome {
  const recorder = new Recorder();
  const parser = new FrameParser(recorder, maxFrame);
  try {
    for (const piece of pieces) {
      for (let at = 0; at < piece.byteLength; ) {
        const next = parser.parse(piece, at, maxFrames);
        if (parser.framesDone > maxFrames) throw new Error(`${parser.framesDone} frames of ${maxFrames}`);
        if (next < at || next > piece.byteLength) throw new Error(`from ${at} to ${next}`);
        if (next < piece.byteLength && parser.framesDone < maxFrames) throw new Error('stopped too early');
        at = next;
      }
    }
  } catch (error) {
    return { recorder, error };
  }
  return { recorder, error: undefined };
}

/** Cuts into pieces of the given sizes, over and over. */
export function cut(input: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < input.byteLength; ) {
    const end = at + (sizes[pieces.length % sizes.length] as number);
    pieces.push(input.subarray(at, end));
    at = end;
  }
  return pieces;
}

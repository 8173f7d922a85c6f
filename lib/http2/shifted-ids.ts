import type { StreamError } from '../core/errors.js';
import type { FrameHandler, Setting } from './frame-handler.js';
import { MAX_31_BITS } from './frames.js';

/** The frames of a reverse session, whose streams have higher ids here than they have on the wire. */
export class ShiftedIds implements FrameHandler {
  readonly #handler: FrameHandler;
  readonly #by: number;

  constructor(handler: FrameHandler, by: number) {
    this.#handler = handler;
    this.#by = by;
  }

  onFrame(type: number, flags: number, id: number, length: number): void {
    this.#handler.onFrame(type, flags, this.#shifted(id), length);
  }

  onDataStart(id: number, length: number): void {
    this.#handler.onDataStart(this.#shifted(id), length);
  }

  onData(id: number, chunk: Uint8Array): void {
    this.#handler.onData(this.#shifted(id), chunk);
  }

  onDataEnd(id: number, end: boolean): void {
    this.#handler.onDataEnd(this.#shifted(id), end);
  }

  onHeaders(id: number, block: Uint8Array, end: boolean, error: StreamError | undefined): void {
    this.#handler.onHeaders(this.#shifted(id), block, end, error);
  }

  onPriority(id: number): void {
    this.#handler.onPriority(this.#shifted(id));
  }

  onRstStream(id: number, code: number): void {
    this.#handler.onRstStream(this.#shifted(id), code);
  }

  onSettings(settings: readonly Setting[]): void {
    this.#handler.onSettings(settings);
  }

  onSettingsAck(): void {
    this.#handler.onSettingsAck();
  }

  onPing(payload: Uint8Array, ack: boolean): void {
    this.#handler.onPing(payload, ack);
  }

  onGoAway(lastId: number, code: number, debug: Uint8Array): void {
    this.#handler.onGoAway(Math.min(this.#shifted(lastId), MAX_31_BITS), code, debug);
  }

  onWindowUpdate(id: number, increment: number): void {
    this.#handler.onWindowUpdate(this.#shifted(id), increment);
  }

  onUnknown(type: number, id: number, length: number): void {
    this.#handler.onUnknown(type, this.#shifted(id), length);
  }

  onStreamError(id: number, error: StreamError): void {
    this.#handler.onStreamError(this.#shifted(id), error);
  }

  #shifted(id: number): number {
    return id === 0 ? 0 : id + this.#by;
  }
}

/** No line that ssh2 takes is longer, and what it is given now it can refuse. */
const mostHeldBytes = 8192;

/** The peer's version string (RFC 4253 §4.2), which may come in any number of reads: ssh2 forgets all but two of them. */
export class Greeting {
  readonly #end: RegExp;
  #held: Buffer = Buffer.alloc(0);

  /** Only servers may say something else before. */
  constructor(of: 'client' | 'server') {
    this.#end = of === 'server' ? /^SSH-[^\n]*\n/m : /\n/;
  }

  /** All that has come, once there is something to be done about it; null until then. */
  push(chunk: Uint8Array): Uint8Array | null {
    this.#held = Buffer.concat([this.#held, chunk]);
    const isOver = this.#held.length > mostHeldBytes || this.#end.test(this.#held.toString('latin1'));
    return isOver ? this.#held : null;
  }
}

import { type Provider, type Stream, StreamError } from 'rxmux';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What became of a stream. */
export type Fate = 'open' | 'finished' | 'lost';

/** One stream, on which numbers are sent and come back. */
export class Conversation {
  readonly id: number;
  readonly #stream: Stream;
  /** Which server answered. */
  server = '?';
  echoed = 0;
  fate: Fate = 'open';
  /** Why it was lost. */
  reason = '';
  /** What was going on. */
  note = '';

  private constructor(stream: Stream) {
    this.#stream = stream;
    this.id = stream.id;
  }

  static async open(client: Provider, note = ''): Promise<Conversation> {
    const stream = client.newStream({ ':path': '/conversation' });
    const conversation = new Conversation(stream);
    conversation.note = note;
    // Who answers is known with the first echo at the latest.
    await conversation.say(1);
    if (conversation.fate === 'open') conversation.server = (await stream.reply).get('x-server') ?? '?';
    return conversation;
  }

  /** Sends so many messages, one after the other, each once the last has come back. */
  async say(messages: number): Promise<void> {
    for (let count = 0; count < messages && this.fate === 'open'; count++) {
      const text = `message ${this.echoed + 1}`;
      try {
        await this.#stream.write(text);
        await this.#hear(encoder.encode(text).byteLength, text);
        this.echoed++;
      } catch (error) {
        this.#lose(error);
      }
    }
  }

  /** Ends it from our side, and waits for the server's end. */
  async finish(): Promise<void> {
    if (this.fate !== 'open') return;
    try {
      await this.#stream.end();
      if ((await this.#stream.read()) !== null) throw new Error('it said more than it was asked for');
      await this.#stream.closed;
      this.fate = 'finished';
    } catch (error) {
      this.#lose(error);
    }
  }

  /** Waits for the end that a lost server brings: an error, never a clean end. */
  async untilLost(): Promise<void> {
    try {
      await this.#stream.closed;
      this.#lose(new Error('it ended as if nothing had happened'));
    } catch (error) {
      this.#lose(error);
    }
  }

  async #hear(bytes: number, expected: string): Promise<void> {
    let heard = '';
    while (heard.length < bytes) {
      const chunk = await this.#stream.read();
      if (chunk === null) throw new Error('the server ended in the middle of an echo');
      heard += decoder.decode(chunk);
    }
    if (heard !== expected) throw new Error(`"${heard}" came back for "${expected}"`);
  }

  #lose(error: unknown): void {
    this.fate = 'lost';
    this.reason = StreamError.is(error) ? `${error.code} ${error.wireCode ?? ''}`.trim() : String(error);
  }
}

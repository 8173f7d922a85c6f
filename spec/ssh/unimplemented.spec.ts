/** A peer that knows no global requests, tinyssh for one, answers them by UNIMPLEMENTED (RFC 4253 §11.4). */
import type { EventEmitter } from 'node:events';
import type { Limits } from 'rxmux';
import { connect, type Provider } from 'rxmux/node';
import { forward } from 'rxmux/ssh';
import { encodeMessage } from '../../lib/ssh/codec.js';
import * as wire from '../../lib/ssh/frames.js';
import type { Internals } from '../../lib/ssh/library.js';
import { SshLink } from '../../lib/ssh/link.js';
import { trackProvider } from '../support/leaks.js';
import { trustedSsh } from '../support/ssh.js';
import { type StockServer, stockServer } from '../support/stock-ssh2.js';

interface Connection extends EventEmitter {
  readonly _protocol: Pick<Internals, '_onPayload' | '_decipher' | '_cipher' | '_packetRW' | 'rekey'>;
  end(): void;
}

const unimplemented = (sequence: number): Uint8Array => encodeMessage(wire.MSG_UNIMPLEMENTED, sequence);
const failure = encodeMessage(wire.MSG_REQUEST_FAILURE);

describe('a peer', () => {
  let ours: Provider;
  let peer: Connection;
  let server: StockServer;

  /** `answers` are the peer's to a global request, by its sequence number. */
  const begin = async (
    answers: (sequence: number) => readonly Uint8Array[],
    limits: Partial<Limits> = {},
  ): Promise<void> => {
    let isReady = (): void => {};
    const ready = new Promise<void>((resolve) => {
      isReady = resolve;
    });
    const stock = await stockServer<Connection>((connection) => {
      peer = connection;
      peer.on('error', () => {});
      peer.on('authentication', (context: { accept(): void }) => context.accept());
      peer.on('ready', () => {
        answerBy(answers);
        isReady();
      });
    });
    server = stock.server;
    ours = trackProvider(await connect(stock.address, trustedSsh(), { limits }));
    await ready;
  };

  const send = (message: Uint8Array): void => {
    const { _cipher, _packetRW } = peer._protocol;
    const packet = _packetRW.write.alloc(message.byteLength);
    packet.set(message, _packetRW.write.allocStart);
    _cipher.encrypt(_packetRW.write.finalize(packet));
  };

  /** The decipher has what takes payloads; the next one gets it from the protocol. */
  const answerBy = (answers: (sequence: number) => readonly Uint8Array[]): void => {
    const protocol = peer._protocol;
    const onPayload = protocol._onPayload;
    protocol._onPayload = (payload) => {
      if (payload[0] !== wire.MSG_GLOBAL_REQUEST) return onPayload(payload);
      const next = protocol._decipher?.inSeqno as number;
      for (const message of answers(next - 1)) send(message);
      return undefined;
    };
    const decipher = protocol._decipher as { _onPayload: unknown };
    decipher._onPayload = protocol._onPayload;
  };

  afterEach(() => {
    jest.restoreAllMocks();
    ours.abort(new Error('the test is over'));
    peer.end();
    server.close();
  });

  describe.each([
    ['the request', 0],
    ['the message behind it, as tinyssh does', 1],
  ])('that names %s', (_name, more) => {
    beforeEach(() => begin((sequence) => [unimplemented(sequence + more)]));

    it('answers pings', async () => {
      for (let times = 0; times < 3; times++) expect(await ours.ping()).toBeGreaterThan(0);
      await Promise.all([ours.ping(), ours.ping(), ours.ping()]);
    });

    it('refuses to listen', async () => {
      const [listening] = await Promise.allSettled([forward(ours, { port: 0 }), ours.ping()]);
      expect(listening).toMatchObject({ status: 'rejected', reason: { code: 'refused', remote: true } });
    });

    it('does so after a change of keys, which counts messages anew', async () => {
      await ours.ping();
      const keyed = SshLink.prototype.keyed;
      await new Promise<void>((resolve) => {
        jest.spyOn(SshLink.prototype, 'keyed').mockImplementation(function (this: SshLink) {
          keyed.call(this);
          resolve();
        });
        peer._protocol.rekey();
      });
      await ours.ping();
    });
  });

  const few: Partial<Limits> = { uselessBurst: 2, uselessPerSecond: 0 };

  it('names something else, which answers nothing, and is useless', async () => {
    await begin((sequence) => [unimplemented(sequence - 1), failure], few);
    await ours.ping();
    await ours.ping();
    await expect(ours.ping()).rejects.toMatchObject({ code: 'limit', remote: true });
  });

  it('names a request that it has answered, which is useless', async () => {
    await begin((sequence) => [failure, unimplemented(sequence)], few);
    await ours.ping();
    await ours.ping();
    await Promise.allSettled([ours.ping(), ours.closed]);
    await expect(ours.closed).rejects.toMatchObject({ code: 'limit', remote: true });
  });

  it('says so where nothing was asked, which is useless', async () => {
    await begin(() => [], few);
    for (let sequence = 0; sequence < 3; sequence++) send(unimplemented(sequence));
    await expect(ours.closed).rejects.toMatchObject({ code: 'limit', remote: true });
  });
});

/** The kit's points about resets, truncation and half-closes through HAProxy, and which of them it changes. */
import type { Protocol, Provider } from 'rxmux';
import type { Open } from 'rxmux/conformance';
import { http2 } from 'rxmux/http2';
import { connect, listen } from 'rxmux/node';
import { completionCases } from '../conformance/completion.js';
import { halfCloseCases } from '../conformance/half-close.js';
import { checker } from '../conformance/pair.js';
import { resetCases } from '../conformance/reset.js';
import { standing } from '../matrix/reversed.js';
import { describeWithPeer, peers } from '../support/interop.js';
import { trackPair } from '../support/leaks.js';
import { proxyTo } from './http2-proxies.js';

/** A client and the server behind the proxy, whose connection comes with the client's reverse session. */
const open: Open = async ({ limits = {} } = {}) => {
  const transports: { destroy(error?: unknown): void }[] = [];
  const kept: Protocol = (transport, options) => {
    transports.push(transport);
    return http2(transport, { ...options, reverse: true });
  };
  const listener = await listen('tcp://127.0.0.1:0', kept, { limits: limits.server ?? {} });
  const accepted = new Promise<Provider>((resolve) => {
    const taking = listener.accept$.subscribe((provider) => {
      resolve(provider);
      queueMicrotask(() => taking.unsubscribe());
    });
  });
  const proxy = await proxyTo('haproxy', Number(new URL(listener.address).port));
  const client = await connect(`tcp://127.0.0.1:${proxy.port}`, kept, { limits: limits.client ?? {} });
  const server = await accepted;
  trackPair([client, server]);
  return {
    client,
    server,
    cut: () => {
      for (const transport of transports) transport.destroy();
    },
    close: async () => {
      await proxy.close();
      await listener.close();
    },
  };
};

const codes = 'every code becomes CANCEL, and a reset is an end first';
const ends = 'a reset, or the loss of the acceptor, is an end first: only `closed` tells';

/**
 * What HAProxy changes of the client's own streams, as the table in docs/http2.md says: these cases have to fail. Those of
 * streams in a reverse session pass, all of them.
 */
const changed: ReadonlyMap<string, string> = new Map([
  ["18. reset('cancel') kills both halves at both ends, and the word arrives", codes],
  ["18. reset('internal-error') kills both halves at both ends, and the word arrives", codes],
  ["18. reset('protocol-error') kills both halves at both ends, and the word arrives", codes],
  ["18. reset('flow-control') kills both halves at both ends, and the word arrives", codes],
  ['6. a sender that has nothing more to say for now learns of it too', codes],
  ['18. a numeric code goes over the wire as it is', codes],
  ['18. the acceptor resets too', ends],
  ['18. a reset ends all that waits, at both ends', ends],
  ['18. a waiting read() is rejected by a reset', ends],
  ['18. trailers of a stream that is reset are an error, asked for before or after', ends],
  ['4. an error waits for no release, and drops what is undelivered', ends],
  ['8. abort() in mid transfer is an error at the peer, never an end', ends],
  ['8. a reset in mid transfer is an error at the peer, never an end', ends],
  ['9. end() comes after everything written before it', 'it takes more than the reader has given credit for'],
]);

jest.setTimeout(10_000);

describeWithPeer('the kit through HAProxy', peers.haproxy, () => {
  for (const opens of ['client', 'server'] as const) {
    describe(`the ${opens} opens`, () => {
      const check = checker(standing(open), opens, { openerTrailers: false }, (title) =>
        opens === 'client' && changed.has(title) ? test.failing : test,
      );
      describe('resetting', () => resetCases(check));
      describe('completion', () => completionCases(check));
      describe('half-closing', () => halfCloseCases(check));
    });
  }
});

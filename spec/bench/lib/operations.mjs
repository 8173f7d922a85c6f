/** What is measured: how the processes are asked for it, and what its figures mean. */

export const MiB = 1024 * 1024;
const fanStreams = 100;

const throughput = { unit: 'MiB/s', amount: ({ bytes }) => bytes / MiB };
const rate = (unit) => ({ unit, amount: ({ count }) => count });

const bulkOf = (size) => ({ op: 'bulk', total: size.bulkBytes });
const fanOf = ({ bulkBytes }) => {
  const each = Math.floor(bulkBytes / fanStreams / 65536) * 65536;
  return { op: 'fan', streams: fanStreams, each: Math.max(65536, Math.min(4 * MiB, each)) };
};
const churnOf =
  (concurrent) =>
  (_size, { roundMs }) => ({ op: 'churn', ms: roundMs, conc: concurrent });
const timed =
  (op) =>
  (_size, { roundMs }) => ({ op, ms: roundMs });

/**
 * `kind`: `rounds` are interleaved over two processes, `memory` in one process over an in-memory pair, `alone` once in
 * fresh processes. `command(size, profile)`: what the client is asked; `amount(sample)`: how much it did, in `unit`.
 */
export const operations = {
  bulk: { kind: 'rounds', title: 'one stream, 64 KiB writes', command: bulkOf, ...throughput },
  fan: { kind: 'rounds', title: `${fanStreams} streams, 64 KiB writes`, command: fanOf, ...throughput },
  small: {
    kind: 'rounds',
    title: 'one stream, 128 B messages one way',
    command: (size) => ({ op: 'small', count: size.smallCount }),
    ...rate('messages/s'),
  },
  churn1: {
    kind: 'rounds',
    title: 'open, 1 KiB there and back, close; one at a time',
    command: churnOf(1),
    ...rate('streams/s'),
  },
  churn100: {
    kind: 'rounds',
    title: 'open, 1 KiB there and back, close; 100 at a time',
    command: churnOf(100),
    ...rate('streams/s'),
  },
  ping: {
    kind: 'rounds',
    title: '64 B round trips on one stream',
    command: timed('ping'),
    ...rate('round trips/s'),
  },
  fair: {
    kind: 'rounds',
    title: 'round trips on stream B beside bulk on stream A',
    command: timed('fair'),
    ...throughput,
    unit: 'MiB/s on A',
  },
  idle: { kind: 'alone', title: 'open streams that do nothing: bytes a stream, after gc' },
  slow: { kind: 'alone', title: 'a stream whose reader never reads' },
  'mem-bulk': {
    kind: 'memory',
    title: 'bulk, one process, in memory',
    command: bulkOf,
    ...throughput,
  },
  'mem-churn': {
    kind: 'memory',
    title: 'churn100, one process, in memory',
    command: churnOf(100),
    ...rate('streams/s'),
  },
  'mem-ping': {
    kind: 'memory',
    title: 'ping, one process, in memory',
    command: timed('ping'),
    ...rate('round trips/s'),
  },
};

export const rateOf = (operation, sample) => operations[operation].amount(sample) / sample.sec;

/** CPU seconds of both ends per unit of work. */
export const cpuOf = (operation, sample) =>
  (sample.cpuClient + sample.cpuServer) / operations[operation].amount(sample);

export const isThroughput = (operation) => operations[operation].amount === throughput.amount;

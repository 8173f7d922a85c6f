/** What we promise of our own protocols, as ratios: absolute figures are the machine's. */
import { median, quantile } from './results.mjs';

const rateTo = (reference) => (results, operation, name) => results.rateRatios(operation, name, reference);
const cpuTo = (reference) => (results, operation, name) => results.cpuRatios(operation, name, reference);
const idleBytes = (results, operation, name) =>
  results.samples(operation, name).map(({ rssClient, rssServer }) => rssClient + rssServer);

const atLeast = (bound, unit) => ({
  bound,
  unit,
  text: `>= ${bound} ${unit}`,
  met: (value) => value >= bound,
});
const atMost = (bound, unit) => ({
  bound,
  unit,
  text: `<= ${bound} ${unit}`,
  met: (value) => value <= bound,
});

const framer = 'rxmux-framer';
const http2 = 'rxmux-http2';
const ssh = 'rxmux-ssh';
const spdy = 'rxmux-spdy';

export const targets = [
  { name: framer, operation: 'bulk', what: 'CPU', values: cpuTo('tcp-limit'), goal: atMost(1.3, 'L') },
  { name: framer, operation: 'small', what: 'rate', values: rateTo('tcp'), goal: atLeast(6, 'R') },
  { name: framer, operation: 'churn1', what: 'rate', values: rateTo('tcp'), goal: atLeast(6, 'R') },
  { name: framer, operation: 'churn100', what: 'rate', values: rateTo('tcp'), goal: atLeast(20, 'R') },
  { name: framer, operation: 'ping', what: 'rate', values: rateTo('tcp'), goal: atLeast(0.9, 'R') },
  { name: framer, operation: 'idle', what: 'RSS, both ends', values: idleBytes, goal: atMost(2500, 'B') },
  { name: http2, operation: 'bulk', what: 'CPU', values: cpuTo('tcp-limit'), goal: atMost(1.5, 'L') },
  { name: http2, operation: 'small', what: 'rate', values: rateTo('http2'), goal: atLeast(1, 'node:http2') },
  { name: http2, operation: 'churn1', what: 'rate', values: rateTo('tcp'), goal: atLeast(3, 'R') },
  { name: http2, operation: 'churn100', what: 'rate', values: rateTo('tcp'), goal: atLeast(8, 'R') },
  {
    name: http2,
    operation: 'churn100',
    what: 'rate',
    values: rateTo('http2'),
    goal: atLeast(4, 'node:http2'),
  },
  { name: http2, operation: 'ping', what: 'rate', values: rateTo('tcp'), goal: atLeast(0.85, 'R') },
  { name: http2, operation: 'idle', what: 'RSS, both ends', values: idleBytes, goal: atMost(4096, 'B') },
  { name: ssh, operation: 'bulk', what: 'rate', values: rateTo('ssh2'), goal: atLeast(1, 'ssh2') },
  { name: ssh, operation: 'ping', what: 'rate', values: rateTo('ssh2'), goal: atLeast(1, 'ssh2') },
  { name: ssh, operation: 'churn1', what: 'rate', values: rateTo('ssh2'), goal: atLeast(1.5, 'ssh2') },
  { name: ssh, operation: 'churn100', what: 'rate', values: rateTo('ssh2'), goal: atLeast(1.5, 'ssh2') },
  { name: ssh, operation: 'small', what: 'rate', values: rateTo('ssh2'), goal: atLeast(3, 'ssh2') },
  { name: ssh, operation: 'idle', what: 'RSS, both ends', values: idleBytes, goal: atMost(10_240, 'B') },
  { name: spdy, operation: 'bulk', what: 'CPU', values: cpuTo('tcp-limit'), goal: atMost(1.5, 'L') },
  {
    name: spdy,
    operation: 'bulk',
    what: 'rate',
    values: rateTo('spdy-transport'),
    goal: atLeast(4, 'spdy-transport'),
  },
  { name: spdy, operation: 'small', what: 'rate', values: rateTo('tcp'), goal: atLeast(4, 'R') },
  { name: spdy, operation: 'churn1', what: 'rate', values: rateTo('tcp'), goal: atLeast(3, 'R') },
  { name: spdy, operation: 'churn100', what: 'rate', values: rateTo('tcp'), goal: atLeast(8, 'R') },
  { name: spdy, operation: 'ping', what: 'rate', values: rateTo('tcp'), goal: atLeast(0.8, 'R') },
  { name: spdy, operation: 'idle', what: 'RSS, both ends', values: idleBytes, goal: atMost(4096, 'B') },
];

/** Each target that this run says something about, with its median, quartiles and verdict. */
export function judge(results, contenders, operationNames) {
  const names = contenders.map(({ name }) => name);
  return targets
    .filter(({ name, operation }) => names.includes(name) && operationNames.includes(operation))
    .map(({ name, operation, what, values, goal }) => {
      const list = values(results, operation, name);
      const value = median(list);
      return {
        name,
        operation,
        what,
        goal: goal.text,
        unit: goal.unit,
        value,
        quartiles: [quantile(list, 0.25), quantile(list, 0.75)],
        met: value !== undefined && goal.met(value),
        reason:
          value === undefined ? (results.failure(name, operation) ?? 'nothing to compare with') : undefined,
      };
    });
}

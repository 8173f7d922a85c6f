/** Who is compared. Each is one file in `adapters/`; see README.md for how to add one. */
import { existsSync } from 'node:fs';
import path from 'node:path';

const benchFolder = path.resolve(import.meta.dirname, '..');
export const goPeer = path.join(benchFolder, '.cache', 'gopeer');
/** Where Debian puts the sources of Go libraries, and in which packages. */
export const goPath = '/usr/share/gocode';
export const goNeeds = {
  go: 'golang-go',
  [`${goPath}/src/github.com/hashicorp/yamux`]: 'golang-github-hashicorp-yamux-dev',
  [`${goPath}/src/github.com/xtaci/smux`]: 'golang-github-xtaci-smux-dev',
  [`${goPath}/src/github.com/docker/spdystream`]: 'golang-github-docker-spdystream-dev',
  [`${goPath}/src/golang.org/x/net/http2`]: 'golang-golang-x-net-dev',
  [`${goPath}/src/golang.org/x/crypto/ssh`]: 'golang-golang-x-crypto-dev',
};

const noMemory = (reason) => ({ 'mem-bulk': reason, 'mem-churn': reason, 'mem-ping': reason });
/** `chosen` is what --window says, as text. */
const settable = (usual) => (chosen) => chosen ?? usual;
const fixed = (text) => () => text;

/**
 * `packages`: whose versions to print. `window`: what the reader of a stream lets the writer send ahead.
 * `operations`: where others would only repeat those of a sibling. `skip`: what it cannot do, and why.
 * `needs`: programs and files without which it takes no part, and the Debian packages that have them.
 */
const all = [
  { name: 'tcp', about: 'R: raw net.Socket', window: fixed('kernel') },
  {
    name: 'tcp-limit',
    about: 'L: net.Socket with a reusable read buffer',
    window: fixed('kernel'),
    skip: noMemory('it is about sockets'),
  },
  { name: 'rxmux-framer', about: 'ours, by send()', window: settable('256 KiB, grows') },
  {
    name: 'rxmux-framer-write',
    about: 'ours, by write()',
    window: settable('256 KiB, grows'),
    operations: ['bulk', 'fan', 'small', 'fair'],
  },
  { name: 'rxmux-http2', about: 'ours, HTTP/2', window: settable('4 MiB') },
  { name: 'rxmux-ssh', about: 'ours, beside ssh2', packages: ['ssh2'], window: settable('1 MiB') },
  { name: 'rxmux-spdy', about: 'ours, SPDY/3.1', window: settable('256 KiB, grows') },
  { name: 'http2', about: 'node:http2', window: settable('4 MiB') },
  { name: 'ssh2', packages: ['ssh2'], window: fixed('2 MiB') },
  {
    name: 'openssh',
    about: 'ssh -L and sshd between sockets',
    window: fixed('2 MiB'),
    needs: { '/usr/sbin/sshd': 'openssh-server', ssh: 'openssh-client' },
    skip: {
      ...noMemory('it is processes of its own'),
      idle: 'its memory is that of other processes',
      slow: 'its memory is that of other processes',
    },
  },
  { name: 'spdy-transport', packages: ['spdy-transport'], window: settable('4 MiB') },
  { name: 'libp2p-yamux', packages: ['@libp2p/yamux'], window: settable('4 MiB, grows') },
  { name: 'bpmux', packages: ['bpmux'], window: settable('256 KiB') },
].map((contender) => ({ ...contender, file: path.join(benchFolder, 'adapters', `${contender.name}.mjs`) }));

const go = [
  ['tcp', fixed('kernel')],
  ['yamux', settable('4 MiB')],
  ['smux', settable('4 MiB')],
  ['spdystream', fixed('none')],
  ['http2', settable('4 MiB')],
  ['ssh', fixed('2 MiB')],
].map(([kind, window]) => ({
  name: `go-${kind}`,
  about: 'in Go, for scale',
  window,
  command: [goPeer, kind],
  skip: noMemory('it is in Go'),
}));

const isThere = (what) =>
  what.includes('/')
    ? existsSync(what)
    : process.env.PATH.split(path.delimiter).some((folder) => existsSync(path.join(folder, what)));

/** The Debian packages of what is not there. */
export const missing = (needs = {}) =>
  Object.keys(needs).flatMap((what) => (isThere(what) ? [] : needs[what]));

/** Those that cannot take part, with the packages they need. */
export const absent = () =>
  all
    .map(({ name, needs }) => ({ name, packages: missing(needs) }))
    .filter(({ packages }) => packages.length > 0);

const extra = (file) => ({
  name: path.basename(file, '.mjs'),
  about: `--extra ${file}`,
  window: fixed('see its file'),
  file: path.resolve(file),
});

const baseline = (folder) => ({
  ...all.find(({ name }) => name === 'rxmux-framer'),
  name: 'rxmux-baseline',
  about: `--baseline ${folder}`,
  env: { RXMUX_ROOT: path.resolve(folder) },
});

const reference = 'tcp';
/** Enough to see that every part of the benchmark works. */
const smokeNames = ['tcp-limit', 'rxmux-framer', 'rxmux-spdy', 'http2'];

/** Those that the options ask for; the reference of every ratio comes first. Throws at an unknown name. */
export function chooseContenders({ only, smoke, extra: extraFiles, baseline: baselineFolder }) {
  const known = all.filter(({ needs }) => missing(needs).length === 0);
  if (baselineFolder) known.splice(4, 0, baseline(baselineFolder));
  if (existsSync(goPeer)) known.push(...go);
  known.push(...extraFiles.map(extra));
  const standard = smoke ? [...smokeNames, ...extraFiles.map((file) => extra(file).name)] : undefined;
  const wanted = only ?? standard ?? known.map(({ name }) => name);
  const names = [reference, ...wanted.filter((name) => name !== reference)];
  return names.map((name) => {
    const contender = known.find((candidate) => candidate.name === name);
    if (!contender) throw new Error(`no contender ${name}; there are ${known.map((c) => c.name).join(', ')}`);
    return contender;
  });
}

/** Why a contender does not take part in an operation; undefined if it does. */
export function whyNot(contender, operation) {
  if (contender.operations && !contender.operations.includes(operation)) return 'as its sibling';
  return contender.skip?.[operation];
}

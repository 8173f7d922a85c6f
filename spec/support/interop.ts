import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** A program or library that is not ours, needed by a spec that talks to real peers. */
export interface Peer {
  /** As in `Go is not installed`. */
  readonly name: string;
  /** A program to be found in PATH. */
  readonly binary?: string;
  /** A program that is in no PATH. */
  readonly path?: string;
  /** The import path of a Go package which Debian installs as source. */
  readonly goPackage?: string;
  /** A package for Debian's own Python. */
  readonly pythonPackage?: string;
  /** The Debian package that brings it. */
  readonly debianPackage: string;
}

/** What the specs need so far; add to it, and to the list in .ci/run. */
export const peers: Readonly<
  Record<
    | 'go'
    | 'kubectl'
    | 'chromium'
    | 'promtool'
    | 'curl'
    | 'nghttp2'
    | 'nghttpd'
    | 'nghttpx'
    | 'haproxy'
    | 'nginx'
    | 'goHttp2'
    | 'goGrpc',
    Peer
  >
> = {
  go: { name: 'Go', binary: 'go', debianPackage: 'golang-go' },
  curl: { name: 'curl', binary: 'curl', debianPackage: 'curl' },
  nghttp2: { name: 'nghttp2', binary: 'h2load', debianPackage: 'nghttp2-client' },
  nghttpd: { name: 'nghttpd', binary: 'nghttpd', debianPackage: 'nghttp2-server' },
  nghttpx: { name: 'nghttpx', binary: 'nghttpx', debianPackage: 'nghttp2-proxy' },
  nginx: { name: 'nginx', binary: 'nginx', debianPackage: 'nginx-light' },
  goHttp2: {
    name: 'golang.org/x/net/http2',
    binary: 'go',
    goPackage: 'golang.org/x/net/http2',
    debianPackage: 'golang-go golang-golang-x-net-dev',
  },
  goGrpc: {
    name: 'grpc-go',
    binary: 'go',
    goPackage: 'google.golang.org/grpc',
    debianPackage: 'golang-go golang-google-grpc-dev',
  },
  haproxy: { name: 'HAProxy', binary: 'haproxy', debianPackage: 'haproxy' },
  chromium: { name: 'Chromium', binary: 'chromium', debianPackage: 'chromium' },
  promtool: { name: 'promtool', binary: 'promtool', debianPackage: 'prometheus' },
  kubectl: { name: 'kubectl', binary: 'kubectl', debianPackage: 'kubernetes-client' },
};

/** Where Debian puts the sources of Go packages; use it as GOPATH, with GO111MODULE=off. */
export const debianGoPath = '/usr/share/gocode';

/** Where Debian puts the packages of its Python. */
const debianPythonPath = '/usr/lib/python3/dist-packages';

/** The full path of a program in PATH, or undefined. */
export function findBinary(name: string): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

/** The folder of a Go package in GOPATH or where Debian puts it, or undefined. */
export function findGoPackage(importPath: string): string | undefined {
  const roots = [...(process.env.GOPATH ?? '').split(delimiter), debianGoPath].filter((root) => root !== '');
  return roots.map((root) => join(root, 'src', importPath)).find(existsSync);
}

/** Why a spec that needs these peers cannot run here; undefined if it can. */
export function missingPeer(required: Peer | readonly Peer[]): string | undefined {
  const all: readonly Peer[] = 'name' in required ? [required] : required;
  const missing = all.filter(
    ({ binary, path, goPackage, pythonPackage }) =>
      (binary !== undefined && findBinary(binary) === undefined) ||
      (path !== undefined && !isExecutable(path)) ||
      (goPackage !== undefined && findGoPackage(goPackage) === undefined) ||
      (pythonPackage !== undefined && !existsSync(join(debianPythonPath, pythonPackage))),
  );
  if (missing.length === 0) return undefined;
  const names = missing.map(({ name }) => name).join(' and ');
  const packages = missing.map(({ debianPackage }) => debianPackage).join(' ');
  return `${names} ${missing.length === 1 ? 'is' : 'are'} not installed (apt-get install ${packages})`;
}

/**
 * A `describe` for specs that talk to real peers. Without the peers its tests are skipped, and the run says why at
 * its end; with RXMUX_INTEROP=required they fail instead. Start the peers in hooks or tests, not in `body` itself,
 * which runs in any case.
 */
export function describeWithPeer(name: string, required: Peer | readonly Peer[], body: () => void): void {
  const reason = missingPeer(required);
  if (reason === undefined) describe(name, body);
  else if (isRequired()) describe(name, () => failFor(reason));
  else describe.skip(`${name} [skipped: ${reason}]`, body);
}

/** `describeWithPeer` for a single test. */
export function interopTest(
  name: string,
  required: Peer | readonly Peer[],
  run: () => Promise<void> | void,
  timeoutMs?: number,
): void {
  const reason = missingPeer(required);
  if (reason === undefined) it(name, async () => await run(), timeoutMs);
  else if (isRequired()) describe(name, () => failFor(reason));
  else it.skip(`${name} [skipped: ${reason}]`, async () => await run());
}

function failFor(reason: string): void {
  it('finds its peer', () => {
    throw new Error(`${reason}, and RXMUX_INTEROP=required forbids skipping`);
  });
}

function isRequired(): boolean {
  return process.env.RXMUX_INTEROP === 'required';
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

import type { StreamHeaders } from '../api.js';
import type { ChannelKind } from './channel.js';
import type { PayloadReader } from './codec.js';
import { encodeFields, type Field } from './codec.js';
import { TYPE_STREAM } from './frames.js';
import type { SshChannel } from './options.js';

/** How the standard channels (RFC 4254 §6 and §7, OpenSSH's PROTOCOL §2.4) are streams: pseudo-headers for fields. */

/** The types on the wire. */
export const TYPE_SESSION = 'session';
const types: Readonly<Record<ChannelKind, string>> = {
  stream: TYPE_STREAM,
  exec: TYPE_SESSION,
  shell: TYPE_SESSION,
  subsystem: TYPE_SESSION,
  'direct-tcpip': 'direct-tcpip',
  'direct-streamlocal': 'direct-streamlocal@openssh.com',
  'forwarded-tcpip': 'forwarded-tcpip',
  'forwarded-streamlocal': 'forwarded-streamlocal@openssh.com',
};

const kinds: ReadonlyMap<string, ChannelKind> = new Map(
  (Object.entries(types) as [ChannelKind, string][])
    .filter(([, type]) => type !== TYPE_SESSION)
    .map(([kind, type]) => [type, kind]),
);

const sessionKinds: ReadonlySet<string> = new Set(['exec', 'shell', 'subsystem']);

/** Pseudo-headers that each kind must have. */
const needed: Readonly<Record<SshChannel, readonly string[]>> = {
  exec: [':command'],
  shell: [],
  subsystem: [':subsystem'],
  'direct-tcpip': [':host', ':port'],
  'direct-streamlocal': [':path'],
  'forwarded-tcpip': [':host', ':port'],
  'forwarded-streamlocal': [':path'],
};

/** Those that a kind may have besides. */
const ptyNames: readonly string[] = [':term', ':columns', ':rows', ':width', ':height'];
/** `name=value`: a variable of the environment whose name is not in upper case, as those of plain headers are. */
const environmentName = ':env';
const originNames: readonly string[] = [':origin-host', ':origin-port'];

export function isSession(kind: ChannelKind | null): boolean {
  return kind !== null && sessionKinds.has(kind);
}

export function typeOf(kind: ChannelKind): string {
  return types[kind];
}

/** What a type is to us; `session` becomes something only when it is started. */
export function kindOfType(type: string): ChannelKind | undefined {
  return kinds.get(type);
}

export function isChannelName(name: string): name is SshChannel {
  return Object.hasOwn(needed, name);
}

/** What a stream with these headers is on the wire. */
export function kindOf(headers: StreamHeaders): ChannelKind {
  return (headers.get(':ssh') as ChannelKind | undefined) ?? 'stream';
}

/** Throws where an application asks for a channel that there is not, or that its end cannot open. */
export function checkOpen(headers: StreamHeaders, role: 'client' | 'server'): void {
  const name = headers.get(':ssh');
  if (name === undefined) return;
  if (!isChannelName(name))
    throw new TypeError(`":ssh" is one of ${Object.keys(needed).join(', ')}, not "${name}"`);
  const opener = name.startsWith('forwarded-') ? 'server' : 'client';
  if (role !== opener) throw new TypeError(`only the ${opener} of an SSH connection can open "${name}"`);
  for (const field of needed[name]) {
    if (!headers.has(field)) throw new TypeError(`a stream with ":ssh" of "${name}" needs "${field}"`);
  }
  const session = sessionKinds.has(name);
  const known = [':ssh', ...needed[name], ...(session ? [...ptyNames, environmentName] : originNames)];
  for (const [field, value] of headers) {
    if (field === ':port' || field === ':origin-port') checkPort(field, value);
    if (known.includes(field) || (session && !field.startsWith(':'))) continue;
    throw new TypeError(`SSH has no place for "${field}" in "${name}"`);
  }
}

function checkPort(field: string, value: string): void {
  const port = Number(value);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new TypeError(`"${field}" is a number from 0 to 65535, not "${value}"`);
  }
}

/** What follows the head of an OPEN. */
export function encodeOpen(kind: ChannelKind, headers: StreamHeaders): Uint8Array {
  const text = (name: string): string => headers.get(name) ?? '';
  const number = (name: string): number => Number(headers.get(name) ?? 0);
  const origin: Field[] = [headers.get(':origin-host') ?? '127.0.0.1', number(':origin-port')];
  switch (kind) {
    case 'direct-tcpip':
    case 'forwarded-tcpip':
      return encodeFields([text(':host'), number(':port'), ...origin]);
    case 'direct-streamlocal':
      return encodeFields([text(':path'), '', 0]);
    case 'forwarded-streamlocal':
      return encodeFields([text(':path'), '']);
    default:
      return encodeFields([]);
  }
}

/** The headers of a channel that the peer opens. Host names and paths are short, so that no list of them is long. */
export function decodeOpen(kind: ChannelKind, data: PayloadReader): readonly string[] {
  const flat = [':ssh', kind];
  const text = (name: string): void => {
    flat.push(name, data.text(4096));
  };
  const number = (name: string): void => {
    flat.push(name, String(data.uint32()));
  };
  if (kind === 'direct-tcpip' || kind === 'forwarded-tcpip') {
    text(':host');
    number(':port');
    text(':origin-host');
    number(':origin-port');
  } else text(':path');
  return flat;
}

/** Where to dial or listen. */
export type Address =
  | { readonly kind: 'tcp' | 'tls'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/** What `sun_path` has room for beside its last NUL, on Linux and elsewhere; names of Windows have 256 characters. */
function mostSocketPathBytes(): number {
  const { platform } = process;
  if (platform === 'win32') return 256;
  return platform === 'linux' ? 107 : 103;
}

/** Reads `tcp://host:port`, `tls://host:port` or `unix:/path`; anything else is the caller's mistake. */
export function parseAddress(address: string): Address {
  if (address.startsWith('unix:')) {
    const path = address.slice(address.startsWith('unix://') ? 7 : 5);
    if (path === '') throw new TypeError(`"${address}" has no path: write unix:/run/app.sock`);
    // What is too long would be cut without a word, and be another server's name.
    const most = mostSocketPathBytes();
    if (path.includes('\0', 1) || Buffer.byteLength(path) > most) {
      throw new TypeError(
        `"${address}" is no path of a socket: it has more than ${most} bytes, or a NUL in it`,
      );
    }
    return { kind: 'unix', path };
  }
  const found = /^(tcp|tls):\/\/(?:\[([0-9a-fA-F:.]+)\]|([^/:[\]]+)):(\d{1,5})\/?$/.exec(address);
  const port = Number(found?.[4]);
  if (found === null || port > 65_535) {
    throw new TypeError(`"${address}" is no address: write tcp://host:port, tls://host:port or unix:/path`);
  }
  return { kind: found[1] as 'tcp' | 'tls', host: (found[2] ?? found[3]) as string, port };
}

export function formatAddress(kind: 'tcp' | 'tls', host: string, port: number): string {
  return `${kind}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

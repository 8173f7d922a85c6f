import { join } from 'node:path';
import { type RunningProgram, startProgram } from '../programs.js';

/**
 * HAProxy before servers of ours. HTTP/2 without TLS on both sides needs `proto h2`; the timeouts are for streams that
 * live longer than a page. `tune.h2.initial-window-size` is left alone: rxmux brings the large windows that matter.
 */
export function configuration(from: number, servers: ReadonlyMap<string, number>): string {
  const lines = [...servers].map(
    ([name, port]) => `  server ${name} 127.0.0.1:${port} proto h2 check inter 200ms`,
  );
  return `
defaults
  mode http
  timeout connect 5s
  timeout client  1h
  timeout server  1h
  timeout tunnel  1h
  # A server that cannot be reached takes no new streams: another one does. HAProxy must not send again what a server may
  # have read: no "retry-on empty-response".
  option redispatch
  retries 3

listen streams
  bind 127.0.0.1:${from} proto h2
  balance roundrobin
${lines.join('\n')}
`;
}

/** Starts HAProxy, and resolves once it listens. */
export function startHaproxy(servers: ReadonlyMap<string, number>): Promise<RunningProgram> {
  return startProgram({
    configuration: (port) => configuration(port, servers),
    command: (_port, folder) => ['haproxy', '-f', join(folder, 'configuration'), '-db', '-q'],
  });
}

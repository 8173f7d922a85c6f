/** Where and with what it was measured: printed with every result. */
import { readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const benchFolder = path.resolve(import.meta.dirname, '..');
const readVersion = (...parts) => JSON.parse(readFileSync(path.join(...parts, 'package.json'))).version;

function versionOf({ name, packages, env }) {
  if (packages) {
    return packages.map((one) => readVersion(benchFolder, 'node_modules', one)).join(', ');
  }
  if (!name.startsWith('rxmux')) return undefined;
  return readVersion(env?.RXMUX_ROOT ?? process.env.RXMUX_ROOT ?? path.join(benchFolder, '../..'));
}

export function describeEnvironment({ contenders, kind, profile, windowKiB }) {
  const loadBefore = load();
  const start = performance.now();
  return {
    kind,
    versions: new Map(contenders.map((contender) => [contender.name, versionOf(contender)])),
    window: windowKiB === undefined ? undefined : `${windowKiB} KiB`,
    /** To be read when all is done. */
    get line() {
      const seconds = Math.round((performance.now() - start) / 1000);
      const cpus = os.cpus();
      return [
        `${kind} run of ${profile.rounds} rounds, ${seconds} s; Node ${process.version}, ${os.type()} ${os.arch()}`,
        `${cpus.length} x ${cpus[0]?.model.trim() ?? 'unknown CPU'}; load average ${loadBefore} before, ${load()} after`,
      ].join('; ');
    },
  };
}

const load = () =>
  os
    .loadavg()
    .map((value) => value.toFixed(2))
    .join(' ');

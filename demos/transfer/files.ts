import { constants, createReadStream, existsSync } from 'node:fs';
import { access, readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { UsageError } from './options.js';
import { counted } from './text.js';

/** A file to move. */
export interface File {
  readonly path: string;
  /** What the server and the user call it, with slashes. */
  readonly name: string;
  readonly size: number;
}

/** What one stream carries: a file, or a piece of one. */
export interface Part {
  readonly path: string;
  readonly name: string;
  readonly offset: number;
  readonly length: number;
}

/** A part larger than this would make the others wait for it at the end. */
const mostPartBytes = 16 * 1024 * 1024;

/**
 * Finds the files behind the arguments; without any, the node executable and the repository's own files. What is in a
 * folder and cannot be found there a moment later is left out, and `onLost` told of it.
 */
export async function findFiles(
  paths: readonly string[],
  onLost: (path: string) => void = () => {},
): Promise<File[]> {
  if (paths.length > 0) {
    const all: Search = { isWanted: () => true, onLost };
    return (await Promise.all(paths.map((path) => filesAt(path, all)))).flat();
  }
  const isWanted = (name: string): boolean => !name.startsWith('.') && !made.includes(name);
  const root = repositoryRoot();
  const own: Search = { isWanted, onLost, base: root };
  return [...(await filesAt(process.execPath, { isWanted, onLost })), ...(await filesAt(root, own))];
}

/** Folders of the repository that hold what tools have put there. */
const made = ['node_modules', 'dist', 'coverage'];

/** Where package.json is: this file runs from dist/ as well as from its source. */
function repositoryRoot(): string {
  for (let folder = import.meta.dirname; folder !== dirname(folder); folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return folder;
  }
  throw new UsageError('There is no repository around this program: name the files to move');
}

interface Search {
  readonly isWanted: (name: string) => boolean;
  readonly onLost: (path: string) => void;
  /** What names are relative to, where not to the folder of the path. */
  readonly base?: string;
}

async function filesAt(path: string, { isWanted, onLost, base }: Search): Promise<File[]> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') throw new LostError(`${path} does not exist`);
    throw new UsageError(`${path} cannot be looked at: ${error.message}`);
  });
  if (!found.isFile() && !found.isDirectory()) {
    throw new UsageError(`${path} is neither a file nor a folder`);
  }
  await access(path, constants.R_OK).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') throw new LostError(`${path} does not exist`);
    throw new UsageError(`${path} cannot be read: permission denied`);
  });
  if (found.isFile()) {
    const name = base === undefined ? basename(path) : relative(base, path).replaceAll('\\', '/');
    return [{ path, name, size: found.size }];
  }
  const entries = await readdir(path, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    throw error.code === 'ENOENT' ? new LostError(`${path} does not exist`) : error;
  });
  const inside = entries.filter((entry) => (entry.isFile() || entry.isDirectory()) && isWanted(entry.name));
  const files: File[] = [];
  for (const entry of inside) {
    try {
      files.push(
        ...(await filesAt(join(path, entry.name), { isWanted, onLost, base: base ?? dirname(path) })),
      );
    } catch (error) {
      if (!(error instanceof LostError)) throw error;
      onLost(join(path, entry.name));
    }
  }
  return files;
}

/** Of an argument it is the caller's mistake; inside a folder it may have gone, or have a name that is not UTF-8. */
class LostError extends UsageError {}

/** Cuts what is large enough to have at least `streams` parts, if there are that many bytes. */
export function cut(files: readonly File[], streams: number): Part[] {
  if (files.length === 0) throw new UsageError('There are no files to move');
  const total = files.reduce((sum, { size }) => sum + size, 0);
  const partBytes = Math.min(Math.max(1, Math.floor(total / streams)), mostPartBytes);
  return files.flatMap(({ path, name, size }) => {
    const count = Math.max(1, Math.ceil(size / partBytes));
    return Array.from({ length: count }, (_, index) => {
      const offset = index * partBytes;
      return { path, name, offset, length: Math.min(partBytes, size - offset) };
    });
  });
}

/** The bytes of a part, read as they are asked for. A file that has become shorter is an error. */
export async function* read({ path, name, offset, length }: Part): AsyncGenerator<Uint8Array> {
  if (length === 0) return;
  let left = length;
  for await (const chunk of createReadStream(path, { start: offset, end: offset + length - 1 })) {
    left -= (chunk as Uint8Array).byteLength;
    yield chunk as Uint8Array;
  }
  if (left > 0) throw new Error(`${name} became shorter by ${counted(left, 'byte')} while it was read`);
}

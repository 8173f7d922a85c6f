import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** An entry of vectors.json (SPEC §7): what one end sends, and what it says, or the error that answers it. */
export interface Vector {
  readonly name: string;
  readonly from: 'client' | 'server';
  readonly bytes: string;
  readonly events?: readonly string[];
  /** Without a code, the connection is closed without a GOAWAY. */
  readonly error?: { readonly code: 'protocol-error' | 'flow-control' | null };
}

export const vectorsFile: string = join(import.meta.dirname, '../../lib/framer/vectors.json');

export const vectors: readonly Vector[] = JSON.parse(readFileSync(vectorsFile, 'utf8'));

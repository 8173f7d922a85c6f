/** Writes what it is told to, as fast as it is taken, and keeps a record of what became of it. */
import { connect } from 'node:net';
import type { Assault, Blow } from './messages.js';

/** More than this of what a victim says is of no interest. */
const heardBytes = 1024 * 1024;

function strike(assault: Assault): Promise<Blow> {
  return new Promise((resolve) => {
    const { head, body, pieceBytes } = assault;
    const slow = pieceBytes < 1024;
    const socket = connect({ port: assault.port, host: '127.0.0.1', noDelay: true });
    const heard: Buffer[] = [];
    let began = performance.now();
    let rest = head;
    let bodies = 0;
    let pause: ReturnType<typeof setTimeout> | undefined;
    let survived = false;
    let kept = 0;
    const write = (): void => {
      while (!socket.destroyed && socket.writable) {
        if (rest.byteLength === 0) {
          if (body.byteLength === 0 || (bodies > 0 && !assault.loop)) return;
          bodies++;
          rest = body;
        }
        const piece = rest.subarray(0, pieceBytes);
        rest = rest.subarray(pieceBytes);
        const taken = socket.write(piece);
        if (slow) {
          pause = setTimeout(write, 1);
          return;
        }
        if (!taken) return;
      }
    };
    const impatient = setTimeout(() => {
      survived = true;
      socket.destroy();
    }, assault.patienceMs);
    socket.on('connect', () => {
      began = performance.now();
      write();
    });
    socket.on('drain', write);
    if (assault.reads) {
      socket.on('data', (chunk) => {
        if (kept < heardBytes) heard.push(chunk);
        kept += chunk.byteLength;
      });
    }
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(impatient);
      clearTimeout(pause);
      const blow = { ms: performance.now() - began, written: socket.bytesWritten, survived };
      resolve({ ...blow, heard: new Uint8Array(Buffer.concat(heard)) });
    });
  });
}

async function attack(assault: Assault): Promise<Blow[]> {
  const until = performance.now() + assault.ms;
  const blows: Blow[] = [];
  const one = async (): Promise<void> => {
    do {
      blows.push(await strike(assault));
      await new Promise((resolve) => setTimeout(resolve, assault.pauseMs));
    } while (performance.now() < until);
  };
  await Promise.all(Array.from({ length: assault.connections }, one));
  return blows;
}

process.on('message', async (assault: Assault) => {
  process.send?.(await attack(assault));
});
process.on('disconnect', () => process.exit());

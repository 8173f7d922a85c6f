/** Writes what it is told to, as fast as it is taken, and keeps a record of what became of it. */
import { connect } from 'node:net';
import { fromDuplex } from 'rxmux/node';
import { readUint32 } from '../../lib/ssh/codec.js';
import { MSG_CHANNEL_OPEN, MSG_CHANNEL_OPEN_CONFIRMATION, MSG_DISCONNECT } from '../../lib/ssh/frames.js';
import { SshLink } from '../../lib/ssh/link.js';
import { ClientSide, defaultAlgorithms } from '../../lib/ssh/login.js';
import { sshLimitsWith } from '../../lib/ssh/options.js';
import type { Assault, Blow } from './messages.js';
import { sshLogin } from './ssh-login.js';

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

/** How many channels are opened. */
function opensIn(messages: Uint8Array): number {
  let count = 0;
  for (let at = 0; at < messages.byteLength; at += 4 + readUint32(messages, at)) {
    if (messages[at + 4] === MSG_CHANNEL_OPEN) count++;
  }
  return count;
}

/** By messages instead of bytes, once it is logged in; the body when the channels of the head are open. */
function strikeLoggedIn(assault: Assault): Promise<Blow> {
  return new Promise((resolve) => {
    const { head, body, loop, reads } = assault;
    const socket = connect({ port: assault.port, host: '127.0.0.1', noDelay: true });
    const client = new ClientSide(sshLogin, null, defaultAlgorithms, []);
    const login = { client, server: null, authenticate: () => false, unauthenticated: { count: 0 } };
    const link = new SshLink(fromDuplex(socket), sshLimitsWith({ loginBytes: 1e9 }), login);
    const began = performance.now();
    let heard: Uint8Array = new Uint8Array();
    let awaited = opensIn(head);
    let survived = false;
    let bodies = 0;
    const write = (): void => {
      while (awaited === 0 && !socket.destroyed && (bodies === 0 || loop)) {
        bodies++;
        if (!link.write([body])) return;
      }
    };
    const impatient = setTimeout(() => {
      survived = true;
      socket.destroy();
    }, assault.patienceMs);
    const loggedIn = (): void => {
      if (!reads) link.pause();
      if (head.byteLength > 0) link.write([head]);
      else write();
    };
    link.tell({ loggedIn, failed: () => link.destroy(), isOver: () => false, fault: () => {} });
    link.start({
      onData: (payload) => {
        if (payload[0] === MSG_DISCONNECT) heard = payload.slice();
        else if (payload[0] === MSG_CHANNEL_OPEN_CONFIRMATION && awaited > 0 && --awaited === 0) write();
      },
      onEnd: () => link.destroy(),
      onDrain: write,
      onClose: () => {
        clearTimeout(impatient);
        resolve({ ms: performance.now() - began, written: socket.bytesWritten, survived, heard });
      },
    });
  });
}

async function attack(assault: Assault): Promise<Blow[]> {
  const until = performance.now() + assault.ms;
  const blows: Blow[] = [];
  const one = async (): Promise<void> => {
    do {
      blows.push(await (assault.logsIn ? strikeLoggedIn(assault) : strike(assault)));
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

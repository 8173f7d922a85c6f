import { StreamError } from '../../lib/core/errors.js';
import type { StreamEnd } from './model-end.js';
import { type Complaint, Deliberate, otherSide, type StreamPair, type World } from './model-world.js';

/** Whether something befell the stream, or one that it was joined with, that its application asked for. */
function isDisturbed(pair: StreamPair, seen: Set<StreamPair> = new Set()): boolean {
  if (seen.has(pair)) return false;
  seen.add(pair);
  if (pair.rejected || pair.stopped.includes(true)) return true;
  if (pair.resets.some((codes) => codes.size > 0)) return true;
  // One that nobody took may have been refused.
  if (pair.joined.size > 0 && pair.ends.includes(null)) return true;
  return [...pair.joined].some((other) => isDisturbed(other, seen));
}

/** Whether the reason for an error can be found in what the program did; gives what is wrong, or null. */
export function judge(world: World, { error, end, what }: Complaint): string | null {
  if (error instanceof Deliberate) return null;
  if (!StreamError.is(error)) return 'it is not a StreamError';
  const { pair = null } = end ?? {};
  // Streams that were joined share their fate, in whatever words it comes.
  if (pair !== null && pair.joined.size > 0 && (world.dead !== null || isDisturbed(pair))) return null;
  if (what === 'a second reader' && error.code === 'locked') return null;
  switch (error.code) {
    case 'closed':
      if (world.dead !== null) return null;
      if (pair !== null && pair.id !== 0) return 'nobody has ended the connection by force';
      return world.closing.includes(true) ? null : 'nobody has closed the connection';
    case 'timeout':
      // A ping waits for what is under way, and a link of single bytes may take longer than that for it.
      if (what === 'ping' && world.plan.disciplines.some(({ cut }) => cut === 'bytes')) return null;
      return world.dead === 'silent' ? null : 'there was no time for that';
    case 'limit':
      return pair?.id === 0 ? null : 'no limit was exceeded';
    case 'reset':
      return end === null ? 'it is of no stream' : judgeReset(end, error);
    case 'refused':
      return end === null ? 'it is of no stream' : judgeRefusal(world, end, error);
    case 'stopped':
      return pair !== null && (pair.stopped.includes(true) || isDisturbed(pair))
        ? null
        : 'nobody has stopped';
    case 'overflow':
      return pair !== null && isDisturbed(pair) ? null : 'nothing ran over';
    default:
      return 'nobody did anything of the kind';
  }
}

function judgeReset({ pair, side }: StreamEnd, error: StreamError): string | null {
  if (!isDisturbed(pair)) return 'nobody has reset it';
  if (error.streamId !== pair.id) return `it is of stream ${error.streamId}`;
  const codes = pair.resets[error.remote ? otherSide(side) : side];
  if (error.reset === undefined || !codes.has(error.reset)) {
    return `the ${error.remote ? 'peer' : 'application'} did not reset it with ${error.reset}`;
  }
  return null;
}

function judgeRefusal(world: World, { pair, side }: StreamEnd, error: StreamError): string | null {
  if (pair.rejected) return null;
  const acceptor = otherSide(pair.opener);
  if (pair.ends[acceptor] !== null) return 'its acceptor had it, and did not refuse it';
  if (side === pair.opener && !error.retryable) return 'it should be retryable';
  if (world.plan.isNarrow[acceptor] || world.closing.includes(true)) return null;
  return 'there was room for it';
}

/** What is wrong with one end of a stream after all is over. */
export function judgeEnd(world: World, end: StreamEnd): string | null {
  const { stream, incoming, readEnd, pair } = end;
  if (!end.isOver) return `it is still ${stream.state}`;
  if (stream.stats.queuedOut !== 0) return `${stream.stats.queuedOut} bytes are queued for ever`;
  if (end.reader === 'busy') return 'its reader was never told of an end';
  const wasReset = pair.resets.some((codes) => codes.size > 0) || pair.joined.size > 0;
  if (end.sawRemoteEnd && readEnd === 'error' && !wasReset && !pair.rejected) {
    return 'all of its bytes had come, and reading failed';
  }
  if (world.dead !== null || isDisturbed(pair) || pair.ends.includes(null) || pair.id === 0) return null;
  if (stream.state !== 'closed') return `it was ${stream.state}, and nothing was done to it`;
  if (readEnd !== 'end') return `its reading ended with ${readEnd}`;
  if (incoming.consumed !== incoming.produced) {
    return `${incoming.consumed} bytes of ${incoming.produced} have come`;
  }
  return null;
}

/** What is wrong with what the ends hold at this moment. */
export function judgeWindows(world: World): void {
  for (const side of [0, 1] as const) {
    const { limits } = world.providers[side] as unknown as { limits: Record<string, number> };
    const { maxWindowBytes = 0, receiveBudgetBytes = 0, growthBudgetBytes = 0 } = limits;
    let unread = 0;
    for (const end of world.ends) {
      if (end.side !== side) continue;
      const { queuedIn, bytesIn } = end.stream.stats;
      // What is left in a stream that is over is the application's, and no longer the connection's.
      if (!end.isOver) unread += queuedIn;
      const most = Math.max(maxWindowBytes, 16_384);
      if (queuedIn > most) end.fail(`${queuedIn} bytes are unread in a window of ${most}`);
      if (end.reader !== 'over' && bytesIn - end.incoming.consumed > most) {
        end.fail(`${bytesIn - end.incoming.consumed} bytes are kept in a window of ${most}`);
      }
    }
    const most = Math.max(receiveBudgetBytes, 65_536) + growthBudgetBytes;
    if (unread > most) world.sim.fail(`${unread} bytes are unread on a connection of ${most}`);
  }
}

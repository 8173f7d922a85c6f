import type { HeadersInit, ProviderOperator, Stream, StreamHeaders } from '../api.js';
import { isThenable } from '../core/promises.js';
import { answerOf, InterceptedProvider, turnAway } from './intercept.js';

/** Whether a stream is wanted, and what its opener is told. */
export interface HandlerAnswer {
  accept: boolean;
  /** The reply headers, or those of the refusal. */
  headers?: HeadersInit;
}

type Answer = HandlerAnswer | undefined;

/**
 * Decides on each incoming stream by its headers: accepts it with reply headers, or refuses it, before the application
 * sees it. A handler that gives undefined leaves the answer to the application. What an operator beneath has accepted is
 * passed on as it is, or reset. One that throws or rejects refuses the stream with `internal-error`, and the connection goes on.
 */
export function handle(handler: (headers: StreamHeaders) => Answer | Promise<Answer>): ProviderOperator {
  const accept = (stream: Stream): Stream | null | Promise<Stream | null> => {
    const answer = handler(stream.headers);
    if (!isThenable(answer)) return answerWith(stream, answer);
    return answer.then((late) => answerWith(stream, late));
  };
  return (provider) => new InterceptedProvider(provider, { accept }, false);
}

function answerWith(stream: Stream, answer: Answer): Stream | null {
  if (answer === undefined) return stream;
  if (answer.accept) return answerOf(stream) === 'none' ? stream.accept(answer.headers ?? {}) : stream;
  turnAway(stream, answer.headers);
  return null;
}

import { StreamError } from '../core/errors.js';

/** Why a connection did not come about, or was ended by the peer. */
export type SshReason =
  /** The host's key is not the one that is known, is known of no such host, or was not accepted by `verifyHost`. */
  | 'host-key'
  /** known_hosts has the host's key marked as `@revoked`. */
  | 'revoked'
  /** The server did not take our key, or none of the agent's. */
  | 'user-key'
  | 'password'
  /** Nothing is left of what we could log in with, or the server takes none of it. */
  | 'no-method'
  /** There is no algorithm that both ends take: one of them has only old ones. */
  | 'algorithm'
  /** The client could not log in to us in time, or with the attempts that it has. */
  | 'login'
  /** The peer ended the connection, with a number from RFC 4253 §11.1. */
  | 'disconnect'
  /** The ssh2 that is installed is not one that we know. */
  | 'library'
  /** The transport below the channels was broken. */
  | 'transport';

/** What SSH has to say of a failure. It is the `cause` of the StreamError with which the provider fails. */
export class SshError extends Error {
  override readonly name: string = 'SshError';
  readonly reason: SshReason;
  /** DISCONNECT's number, if there was one. */
  readonly wireCode: number | undefined;

  constructor(reason: SshReason, message: string, details: { wireCode?: number; cause?: unknown } = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.reason = reason;
    this.wireCode = details.wireCode;
  }
}

/** The error with which the connection fails. */
export function failure(error: SshError, remote = true): StreamError {
  const { reason, wireCode } = error;
  const code = reason === 'login' ? 'limit' : reason === 'transport' ? 'protocol' : 'closed';
  return new StreamError(code, error.message, { remote, wireCode, cause: error });
}

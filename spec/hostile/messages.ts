/** What the processes of this folder tell each other. */

/** One attack, all its bytes made beforehand: the attacker only writes. */
export interface Assault {
  readonly port: number;
  /** What each connection begins with. */
  readonly head: Uint8Array;
  /** What follows. */
  readonly body: Uint8Array;
  /** The body again and again. */
  readonly loop: boolean;
  /** Bytes per write; small ones are a millisecond apart. */
  readonly pieceBytes: number;
  /** Logs in by SSH first; head and body are then messages with their lengths before them. */
  readonly logsIn: boolean;
  /** False: nothing of what the victim says is read. */
  readonly reads: boolean;
  /** Connections at a time. */
  readonly connections: number;
  /** For so long, each connection that was thrown out is followed by another. */
  readonly ms: number;
  /** What is between them. */
  readonly pauseMs: number;
  /** Connections are given up by the attacker after this. */
  readonly patienceMs: number;
}

/** How one connection of the attacker's went. */
export interface Blow {
  /** From connected to closed. */
  readonly ms: number;
  readonly written: number;
  /** The beginning of what the victim said. */
  readonly heard: Uint8Array;
  /** It was the attacker who lost patience. */
  readonly survived: boolean;
}

export type Question = 'ports' | 'begin' | 'report';

/** How one connection ended, as the victim saw it. */
export interface End {
  /** Of the StreamError; `none` for a clean close, `other` for an error that is not ours. */
  readonly code: string;
  readonly message: string;
  readonly ms: number;
}

export interface Ports {
  /** Default limits. */
  readonly usual: number;
  /** Short times. */
  readonly quick: number;
}

export interface Report {
  readonly ends: readonly End[];
  /** Codes of the streams that failed. */
  readonly streamEnds: readonly string[];
  /** Uncaught errors, unhandled rejections, properties of `Object.prototype`. */
  readonly mishaps: readonly string[];
  readonly connections: number;
  readonly streams: number;
  /** By kind. */
  readonly resources: Readonly<Record<string, number>>;
  /** Bytes above those at `begin`: resident at most, as {@link residentBytes} counts them, and in use now. */
  readonly residentPeak: number;
  readonly held: number;
}

import type { StreamState } from '../api.js';

/**
 * The life of a stream, alone (the states of RFC 9113 §5.1, with `opening` until the acceptor has answered).
 *
 *                      answer                local end                       remote end
 *      opening ─────────────────▶ open ─────────────────▶ half-closed-local ─────────────────▶ closed
 *         │ │ local end             │                        ▲ (answer stays)                    ▲
 *         │ └────────────────────── │ ───────────────────────┘                                   │
 *         │                         │ remote end                        local end                │
 *         └─────────────────────────┴────────────▶ half-closed-remote ───────────────────────────┘
 *           remote end                               (answer stays)
 *
 *      any of these but closed ── reset ──▶ reset
 */
export type StreamAction = 'answer' | 'local-end' | 'remote-end';

const transitions: Record<StreamState, Partial<Record<StreamAction, StreamState>>> = {
  opening: {
    answer: 'open',
    'local-end': 'half-closed-local',
    'remote-end': 'half-closed-remote',
  },
  open: { 'local-end': 'half-closed-local', 'remote-end': 'half-closed-remote' },
  'half-closed-local': { answer: 'half-closed-local', 'remote-end': 'closed' },
  'half-closed-remote': { answer: 'half-closed-remote', 'local-end': 'closed' },
  closed: {},
  reset: {},
};

/** The state after `action`, or undefined where it is illegal. */
export function transition(state: StreamState, action: StreamAction): StreamState | undefined {
  return transitions[state][action];
}

/** Both halves are over, one way or the other. */
export function isOver(state: StreamState): boolean {
  return state === 'closed' || state === 'reset';
}

export function isLocalOver(state: StreamState): boolean {
  return state === 'half-closed-local' || isOver(state);
}

export function isRemoteOver(state: StreamState): boolean {
  return state === 'half-closed-remote' || isOver(state);
}

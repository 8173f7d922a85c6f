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

/** The state after `action`, or undefined where it is illegal. */
export function transition(state: StreamState, action: StreamAction): StreamState | undefined {
  const isBothOpen = state === 'opening' || state === 'open';
  switch (action) {
    case 'answer':
      if (state === 'opening') return 'open';
      return state === 'half-closed-local' || state === 'half-closed-remote' ? state : undefined;
    case 'local-end':
      if (state === 'half-closed-remote') return 'closed';
      return isBothOpen ? 'half-closed-local' : undefined;
    case 'remote-end':
      if (state === 'half-closed-local') return 'closed';
      return isBothOpen ? 'half-closed-remote' : undefined;
  }
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

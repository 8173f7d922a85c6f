/** Many streams of bytes over one connection. This entry runs wherever JavaScript does. */
export type * from './api.js';
export { StreamError, type StreamErrorCode } from './core/errors.js';
export { hold, type Release } from './core/hold.js';
export { pullMap } from './core/pull-map.js';
export { framer } from './framer/index.js';
export { memoryPair } from './transports/memory.js';

/** HPACK, the field compression of HTTP/2 (RFC 7541). */
export { type DecodedBlock, defaultFieldLimits, type FieldLimits, HpackDecoder } from './hpack-decoder.js';
export { HpackEncoder } from './hpack-encoder.js';

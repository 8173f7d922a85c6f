import { StreamError } from '../../lib/core/errors.js';
import { defaultLimits } from '../../lib/core/limits.js';
import { errorCode } from '../../lib/http2/frames.js';
import { HpackDecoder, HpackEncoder } from '../../lib/http2/hpack.js';
import { MessageReader } from '../../lib/http2/message-reader.js';

const post = [':method', 'POST', ':scheme', 'http', ':authority', 'a', ':path', '/'];

/** Both ends of a connection's compression, and the reader of what comes out. */
function reading(): { request(fields: string[]): unknown; response(fields: string[]): unknown } {
  const encoder = new HpackEncoder();
  const decoder = new HpackDecoder();
  const reader = new MessageReader(defaultLimits);
  return {
    request: (fields) => reader.request(1, decoder.decode(encoder.encode(fields), 1)),
    response: (fields) => reader.response(1, decoder.decode(encoder.encode(fields), 1)),
  };
}

it('reads a request like the last one once, and keeps it once', () => {
  const { request } = reading();
  request(post);
  const second = request(post);
  expect(request(post)).toBe(second);
  expect(second).toMatchObject({ urgency: 3, length: undefined });
});

it('reads a response like the last one once, requests in between or not', () => {
  const { request, response } = reading();
  const first = response([':status', '200']);
  expect(response([':status', '200'])).toBe(first);
  request(post);
  expect(response([':status', '200'])).toEqual(first);
});

it('tells apart what differs in one field', () => {
  const { request } = reading();
  const fields = [...post, 'content-length', '5', 'priority', 'u=1'];
  expect(request(fields)).toMatchObject({ urgency: 1, length: 5 });
  expect(request([...post, 'content-length', '6', 'priority', 'u=1'])).toMatchObject({
    urgency: 1,
    length: 6,
  });
  expect(request(fields)).toMatchObject({ urgency: 1, length: 5 });
});

it('finds a fault each time, and takes no response for a request', () => {
  const { request, response } = reading();
  for (let round = 0; round < 3; round++) {
    const wrong = request([':status', '200']);
    expect(StreamError.is(wrong) && wrong.wireCode).toBe(errorCode.PROTOCOL_ERROR);
    expect(StreamError.is(response([':status', '200']))).toBe(false);
  }
});

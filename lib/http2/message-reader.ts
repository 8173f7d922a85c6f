import type { StreamHeaders } from '../api.js';
import { StreamError } from '../core/errors.js';
import { fromPeer } from '../core/headers.js';
import type { LimitValues } from '../core/limits.js';
import { contentLength, joinCookies, requestProblem, responseProblem } from './fields.js';
import { errorCode, wireError } from './frames.js';
import type { DecodedBlock } from './hpack.js';
import { urgencyOf } from './messages.js';
import { keepNeverIndexed } from './never-indexed.js';

/** The fields of a request or a response that are in order, and what they say. */
interface Message {
  readonly decoded: DecodedBlock;
  readonly headers: StreamHeaders;
  /** The content-length. */
  readonly length: number | undefined;
}

export interface RequestMessage extends Message {
  readonly urgency: number;
}

export interface ResponseMessage extends Message {
  readonly status: number;
}

/** What the field blocks of a connection say. Most often one says the same as the last: it is read once, and kept once. */
export class MessageReader {
  readonly #limits: LimitValues;
  #request: RequestMessage | null = null;
  #response: ResponseMessage | null = null;

  constructor(limits: LimitValues) {
    this.#limits = limits;
  }

  /** Gives the error that the stream is to be refused with, if the fields are not in order. */
  request(id: number, decoded: DecodedBlock): RequestMessage | StreamError {
    if (this.#request?.decoded === decoded) return this.#request;
    const { fields } = decoded;
    const wrong = requestProblem(fields);
    if (wrong !== undefined) return wireError(errorCode.PROTOCOL_ERROR, wrong, id);
    const headers = fromPeer(joinCookies(fields), this.#limits);
    if (StreamError.is(headers)) return headers;
    keepNeverIndexed(headers, decoded);
    const request = { decoded, headers, length: contentLength(fields), urgency: urgencyOf(fields) };
    this.#request = request;
    return request;
  }

  response(id: number, decoded: DecodedBlock): ResponseMessage | StreamError {
    if (this.#response?.decoded === decoded) return this.#response;
    const { fields } = decoded;
    const wrong = responseProblem(fields);
    if (wrong !== undefined) return wireError(errorCode.PROTOCOL_ERROR, wrong, id);
    const headers = fromPeer(fields, this.#limits);
    if (StreamError.is(headers)) return headers;
    keepNeverIndexed(headers, decoded);
    const response = { decoded, headers, length: contentLength(fields), status: Number(fields[1]) };
    this.#response = response;
    return response;
  }
}

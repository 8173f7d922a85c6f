import fc from 'fast-check';
import {
  contentLength,
  fieldProblem,
  fromBinaryValue,
  joinCookies,
  nameProblem,
  requestProblem,
  responseProblem,
  toBinaryValue,
  trailersProblem,
  valueProblem,
} from '../../lib/http2/fields.js';

const get = [':method', 'GET', ':scheme', 'https', ':authority', 'example.com', ':path', '/'];
const extended = { extendedConnect: true };

/** The list without a name and its value. */
function without(name: string, from: readonly string[] = get): string[] {
  const at = from.indexOf(name);
  return [...from.slice(0, at), ...from.slice(at + 2)];
}

function withValue(name: string, value: string, from: readonly string[] = get): string[] {
  return from.map((text, at) => (from[at - 1] === name ? value : text));
}

describe('RFC 9113 §8.2.1: names', () => {
  it('takes the characters of a token (RFC 9110 §5.6.2), but no capital letters', () => {
    const token = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz";
    for (let code = 0; code < 0x120; code++) {
      const character = String.fromCharCode(code);
      expect([code, nameProblem(`a${character}`) === undefined]).toEqual([code, token.includes(character)]);
    }
  });

  it('refuses an empty name, and shows only the beginning of a long one', () => {
    expect(nameProblem('')).toBe('"" cannot be a header\'s name');
    expect(nameProblem('A'.repeat(5000))?.length).toBeLessThan(100);
  });

  it('keeps names that objects have for what they are', () => {
    for (const name of ['__proto__', 'constructor', 'tostring']) expect(nameProblem(name)).toBeUndefined();
    expect(requestProblem([...get, '__proto__', 'x'])).toBeUndefined();
    expect(requestProblem([':__proto__', 'x', ...get])).toBeDefined();
  });
});

describe('RFC 9113 §8.2.1: values', () => {
  it('refuses NUL, CR and LF anywhere, and what does not fit a byte', () => {
    for (let code = 0; code < 0x200; code++) {
      const right = ![0, 10, 13].includes(code) && code <= 0xff;
      expect([code, valueProblem('x', `a${String.fromCharCode(code)}b`) === undefined]).toEqual([
        code,
        right,
      ]);
    }
  });

  it('refuses a blank at either end, and takes no value at all', () => {
    for (const value of [' a', 'a ', '\ta', 'a\t', ' ']) expect(valueProblem('x', value)).toMatch(/blank/);
    for (const value of ['', 'a', 'a b', 'a\tb', 'é']) expect(valueProblem('x', value)).toBeUndefined();
  });
});

describe('RFC 9113 §8.2.2: headers of one connection', () => {
  it.each(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'])(
    'refuses %s',
    (name) => {
      expect(fieldProblem(name, 'x')).toMatch(/no place in HTTP\/2/);
      for (const problem of [
        requestProblem([...get, name, 'x']),
        responseProblem([':status', '200', name, 'x']),
      ]) {
        expect(problem).toBeDefined();
      }
      expect(trailersProblem([name, 'x'])).toBeDefined();
    },
  );

  it('takes te only as trailers', () => {
    expect(fieldProblem('te', 'trailers')).toBeUndefined();
    expect(fieldProblem('te', 'Trailers')).toBeUndefined();
    for (const value of ['gzip', 'trailers, deflate', '']) expect(fieldProblem('te', value)).toBeDefined();
  });
});

describe('RFC 9113 §8.3.1: requests', () => {
  it('takes a request, and one without :authority', () => {
    expect(requestProblem(get)).toBeUndefined();
    expect(requestProblem([...get, 'content-type', 'a/b', 'x', ''])).toBeUndefined();
    expect(requestProblem(without(':authority'))).toBeUndefined();
    expect(requestProblem(withValue(':authority', ''))).toBeUndefined();
  });

  it.each([':method', ':scheme', ':path'])('refuses one without %s, or with two', (name) => {
    expect(requestProblem(without(name))).toBe(`there is no ${name}`);
    expect(requestProblem([...get, name, get[get.indexOf(name) + 1] as string])).toBe(
      `there are two ${name}`,
    );
  });

  it('refuses two :authority', () => {
    expect(requestProblem([...get, ':authority', 'example.com'])).toBe('there are two :authority');
  });

  it('refuses pseudo-headers that are unknown, or of responses (§8.3)', () => {
    for (const name of [':status', ':unknown', ':', ':Method', ':protocol\0']) {
      expect(requestProblem([...get, name, '200'])).toMatch(/not a pseudo-header/);
    }
  });

  it('refuses pseudo-headers behind other headers (§8.3)', () => {
    expect(requestProblem([...without(':path'), 'x', 'y', ':path', '/'])).toBe('there is no :path');
    expect(requestProblem([...get, 'x', 'y', ':path', '/'])).toMatch(/comes after/);
    expect(requestProblem([...get, 'x', 'y', ':other', '/'])).toMatch(/comes after/);
  });

  it('takes * as a :path for OPTIONS only, and what begins with a slash', () => {
    expect(requestProblem(withValue(':path', '*', withValue(':method', 'OPTIONS')))).toBeUndefined();
    expect(requestProblem(withValue(':path', '/a?b=c#d%20'))).toBeUndefined();
    for (const path of ['*', '', 'a', '/a b', '/a\tb', '/a\x7f', 'http://x/']) {
      expect(requestProblem(withValue(':path', path))).toMatch(/cannot be a :path/);
    }
  });

  it('leaves the :path to schemes that are not of the web', () => {
    expect(requestProblem(withValue(':path', 'any', withValue(':scheme', 'coap')))).toBeUndefined();
    expect(requestProblem(withValue(':path', 'a b', withValue(':scheme', 'coap')))).toBeDefined();
  });

  it('refuses a user or a blank in :authority', () => {
    for (const value of ['user@example.com', 'a b', 'a\x01']) {
      expect(requestProblem(withValue(':authority', value))).toMatch(/cannot be an :authority/);
    }
    expect(requestProblem(withValue(':authority', '[::1]:8080'))).toBeUndefined();
  });

  it('refuses a :method or :scheme that is no token, and values that no header may have', () => {
    expect(requestProblem(withValue(':method', ''))).toBeDefined();
    expect(requestProblem(withValue(':method', 'GE T'))).toBeDefined();
    expect(requestProblem(withValue(':scheme', 'ht/tp'))).toBeDefined();
    expect(requestProblem(withValue(':path', '/\n'))).toMatch(/line break/);
    expect(requestProblem(withValue(':path', '/ '))).toMatch(/blank/);
    expect(requestProblem(withValue(':method', 'own-method'))).toBeUndefined();
  });
});

describe('RFC 9113 §8.5, RFC 8441: CONNECT', () => {
  const connect = [':method', 'CONNECT', ':authority', 'example.com:443'];
  const webSocket = [...withValue(':method', 'CONNECT'), ':protocol', 'websocket'];

  it('§8.5 has :method and :authority, and nothing else', () => {
    expect(requestProblem(connect)).toBeUndefined();
    expect(requestProblem([...connect, ':scheme', 'https'])).toBeDefined();
    expect(requestProblem([...connect, ':path', '/'])).toBeDefined();
    expect(requestProblem([':method', 'CONNECT'])).toBeDefined();
    expect(requestProblem(withValue(':authority', '', connect))).toBeDefined();
  });

  it('RFC 8441 §4 has all of them with a :protocol, where it was offered', () => {
    expect(requestProblem(webSocket, extended)).toBeUndefined();
    expect(requestProblem(webSocket)).toMatch(/not offered/);
    for (const name of [':scheme', ':path', ':authority']) {
      expect(requestProblem(without(name, webSocket), extended)).toBeDefined();
    }
    expect(requestProblem([...get, ':protocol', 'websocket'], extended)).toBeDefined();
    expect(requestProblem(withValue(':protocol', 'web socket', webSocket), extended)).toBeDefined();
    expect(requestProblem([...webSocket, ':protocol', 'websocket'], extended)).toBeDefined();
  });
});

describe('RFC 9113 §8.3.2: responses', () => {
  it('takes a :status of three digits, but not 101 (§8.6)', () => {
    for (const status of ['100', '103', '200', '404', '599', '999']) {
      expect(responseProblem([':status', status, 'x', 'y'])).toBeUndefined();
    }
    for (const status of ['', '20', '2000', '099', '2x0', '+20', '101', '200 ']) {
      expect(responseProblem([':status', status])).toBeDefined();
    }
  });

  it('refuses none, two, a late one, and those of requests', () => {
    expect(responseProblem([])).toBe('there is no :status');
    expect(responseProblem(['x', 'y'])).toBe('there is no :status');
    expect(responseProblem([':status', '200', ':status', '200'])).toBe('there are two :status');
    expect(responseProblem(['x', 'y', ':status', '200'])).toBeDefined();
    expect(responseProblem([':status', '200', ':path', '/'])).toBeDefined();
    expect(responseProblem([':status', '200', 'X', 'y'])).toBeDefined();
  });
});

describe('RFC 9113 §8.1: trailers', () => {
  it('have no pseudo-headers', () => {
    expect(trailersProblem([])).toBeUndefined();
    expect(trailersProblem(['grpc-status', '0'])).toBeUndefined();
    for (const name of [':method', ':status', ':unknown']) {
      expect(trailersProblem([name, '200'])).toMatch(/trailers cannot have/);
      expect(trailersProblem(['x', 'y', name, '200'])).toBeDefined();
    }
    expect(trailersProblem(['x', 'a\r\nb'])).toBeDefined();
  });
});

describe('RFC 9113 §8.1.1: content-length', () => {
  it('is a number, and the same if there are two', () => {
    expect(contentLength([...get, 'content-length', '12'])).toBe(12);
    expect(contentLength(get)).toBeUndefined();
    expect(contentLength(['x', 'content-length', 'y', '7'])).toBeUndefined();
    expect(requestProblem([...get, 'content-length', '12', 'content-length', '12'])).toBeUndefined();
    expect(requestProblem([...get, 'content-length', '12', 'content-length', '13'])).toMatch(/differ/);
    for (const value of ['', '-1', '1.5', '0x1', '1, 1', '9'.repeat(16)]) {
      expect(requestProblem([...get, 'content-length', value])).toMatch(/cannot be a content-length/);
    }
  });
});

describe('RFC 9113 §8.2.3: cookies', () => {
  it('are joined where the first crumb was', () => {
    const list = ['a', 'b', 'cookie', 'c=1', 'x', 'cookie', 'cookie', 'd=2', 'cookie', 'e=3', 'y', 'z'];
    expect(joinCookies(list)).toEqual(['a', 'b', 'cookie', 'c=1; d=2; e=3', 'x', 'cookie', 'y', 'z']);
  });

  it('leave a list with one or none as it is', () => {
    const one = ['a', 'cookie', 'cookie', 'c=1'];
    expect(joinCookies(one)).toBe(one);
    expect(joinCookies(get)).toBe(get);
  });
});

describe('-bin values', () => {
  it('carry any text, without padding and with it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const value = toBinaryValue(text);
        expect(valueProblem('x-bin', value)).toBeUndefined();
        expect(value).not.toContain('=');
        expect(fromBinaryValue(value)).toBe(text);
        expect(fromBinaryValue(value.padEnd(Math.ceil(value.length / 4) * 4, '='))).toBe(text);
      }),
    );
  });

  it('that are no base64 or no UTF-8 are no text', () => {
    for (const value of ['a', '!!!!', '/w', 'gICA']) expect(fromBinaryValue(value)).toBeUndefined();
  });
});

import { debug, isSecretName, readTrace, redactHeaders, trace } from 'rxmux';
import { toHeaders } from '../../lib/core/headers.js';
import { redactor } from '../../lib/wrappers/redact.js';
import { finish, next, two } from './ends.js';

/** Headers of which every value that says `planted` is a secret. */
const secrets = {
  authorization: 'Bearer planted-1',
  cookie: 'sid=planted-2',
  'set-cookie': ['a=planted-3', 'b=planted-4'],
  'proxy-authorization': 'Basic planted-5',
  'x-api-key': 'planted-6',
  'x-access-token': 'planted-7',
  'x-auth': 'planted-8',
  x_client_secret: 'planted-9',
  'x-amz-security-token': 'planted-10',
  'x-csrf-token': 'planted-11',
  password: 'planted-12',
  'x-session-id': 'planted-13',
  'x-signature': 'planted-14',
  'grpc-metadata': 'Bearer planted-15',
  ':path': '/v1/pods?access_token=planted-16&watch=true&password=planted-17',
  referer: 'https://me:planted-18@example.org/',
  'x-house-key': 'planted-19',
  'ocp-apim-subscription-key': 'planted-23',
  'x-functions-key': 'planted-24',
  'x-amz-server-side-encryption-customer-key': 'planted-25',
  'dd-application-key': 'planted-26',
  'connect.sid': 'planted-27',
  'x-at': 'https://user:p@planted-28@example.org/',
  'x-slash': 'postgres://user:a/planted-29@example.org/db and https://user:a?planted-30@example.org',
  'x-digits': 'https://user:12/planted-40@example.org/ and https://user:/planted-41@example.org/',
  'x-more-digits': 'https://a.user:123456/planted-42@example.org/',
  'x-dotted': 'postgres://john.doe:12/planted-46@db/x and postgres://john.doe:12/34/planted-47@db/x',
  'x-long': `https://oauth2accesstoken:${'z'.repeat(600)}planted-31@example.org/`,
  'x-sas': '/blob?sv=1&sig=planted-32',
  'x-maps': '/maps?key=planted-33&zoom=3',
  'x-login': '/login?pass=planted-34',
  'x-rest': '/x?token=abc;planted-35',
  'x-behind': '/x?a=1;token=planted-36',
  location: '/callback#access_token=planted-37&state=1',
  'x-camel': '/x?subscriptionKey=planted-43&DBKey=planted-44',
  'x-azure': 'DefaultEndpointsProtocol=https;AccountName=a;AccountKey=planted-45==',
  'x-digest': 'Digest username="planted-38", realm="r", response="planted-39"',
};
const shown = {
  ':authority': 'example.org',
  ':method': 'GET',
  author: 'Ada',
  'content-type': 'multipart/form-data; boundary=monkey',
  'content-digest': 'sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:',
  etag: '"33a64df551425fcc55e4d42a148795d9f25f89d4"',
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  tracestate: 'congo=t61rcWkgMzE',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'idempotency-key': '8e03978e-40d5-43dd-bc93-6894a57f9324',
  'surrogate-key': 'articles front-page',
  'x-cache-key': '/articles',
  'x-scoped': 'https://example.org:8443/@scope/package?mail=bob@example.org&page=2#top',
  'x-local':
    'http://localhost:5173/@vite/client and http://[::1]:5173/@vite/client and http://web/@vite/client',
  'x-ported':
    'http://registry.example.org:4873/@scope/a and http://example.org:8080/a/b?mail=bob@example.org',
  'x-single': 'http://web:8080/a?b=c and bob@example.org',
  'x-path': '/turkey/key/sid;v=1?monkey=1&b=2&cacheKey=3&websocketKey=4',
};
const options = { redact: ['X-House-Key'] };

describe('secrets', () => {
  it('are told by their names', () => {
    for (const name of Object.keys(shown)) expect([name, isSecretName(name)]).toEqual([name, false]);
    for (const name of [
      'Authorization',
      'X-API-Key',
      'apikey',
      'x_api_key',
      'refresh_token',
      'X-Private-Key',
      'AWSAccessKeyId',
      'xSRF',
      'aBKey',
    ])
      expect([name, isSecretName(name)]).toEqual([name, true]);
  });

  it('are hidden in headers, and nothing else is', () => {
    const text = JSON.stringify(redactHeaders(toHeaders({ ...secrets, ...shown }), redactor(options)));
    expect(text).not.toContain('planted');
    for (const value of Object.values(shown)) expect(text).toContain(JSON.stringify(value));
    expect(text).toContain('watch=true');
    expect(text).toContain('example.org/');
  });

  it('are looked for in a time that grows with the text only', () => {
    const parts = [
      '://',
      'x://a@',
      'x://a:b/',
      'x://a:b/ ',
      'x://a:1/',
      '.',
      '?a=',
      '?token=;',
      'digest a',
      'bearer ',
      '[]:1',
      ' ',
    ];
    const redact = redactor();
    for (const part of parts) {
      const text = `digest ://a:${part.repeat(65_536 / part.length)}@`;
      const start = performance.now();
      redact(text);
      // A few ms. Where each part is looked at once for each of the others, it is seconds.
      expect([part, performance.now() - start < 200]).toEqual([part, true]);
    }
  });

  it('never reach a trace or a log, unless that is asked for', async () => {
    const { client, server } = two();
    let hidden = '';
    let open = '';
    client.pipe(trace((more) => (hidden += more), { ...options, frames: true }));
    client.pipe(trace((more) => (open += more), { redact: false }));
    server.pipe(trace((more) => (hidden += more), { ...options, frames: true }));
    let lines = '';
    for (const side of [client, server]) {
      side.pipe(debug({ ...options, frames: true, log: (line) => (lines += `${line}\n`) }));
    }
    const stream = client.newStream({ ...secrets, ...shown }, { label: 'GET /x?token=planted-20' });
    (await next(server)).accept(secrets);
    await stream.reply;
    stream.reset('cancel', new Error('Bearer planted-21'));
    client.abort(new Error('tcp://me:planted-22@host is gone'));
    await finish(client, server);
    expect(readTrace(hidden).events.length).toBeGreaterThan(6);
    for (const text of [hidden, lines]) {
      expect(text).not.toContain('planted');
      expect(text).toContain('example.org');
    }
    for (const number of [1, 2, 3, 12, 16, 19, 20]) expect(open).toContain(`planted-${number}`);
  });
});

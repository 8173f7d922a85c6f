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
};
const shown = { ':authority': 'example.org', author: 'Ada', 'content-type': 'text/plain', ':method': 'GET' };
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
    ])
      expect([name, isSecretName(name)]).toEqual([name, true]);
  });

  it('are hidden in headers, and nothing else is', () => {
    const text = JSON.stringify(redactHeaders(toHeaders({ ...secrets, ...shown }), redactor(options)));
    expect(text).not.toContain('planted');
    for (const value of Object.values(shown)) expect(text).toContain(value);
    expect(text).toContain('watch=true');
    expect(text).toContain('example.org/');
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

/** Whoever is logged in and asks for it again is not thrown out: Twisted's clients do, after each key exchange. */
import { RawPeer } from './raw-peer.js';

const MSG_SERVICE_REQUEST = 5;
const MSG_USERAUTH_REQUEST = 50;

describe('a client that is logged in', () => {
  let peer: RawPeer;

  beforeEach(async () => {
    peer = await new RawPeer().begin();
  });

  afterEach(() => peer.end());

  it('may ask for the service and a login again (RFC 4253 §11.4, RFC 4252 §5.1)', async () => {
    for (let count = 0; count < 10; count++) {
      peer.send(MSG_SERVICE_REQUEST, 'ssh-userauth');
      peer.send(MSG_USERAUTH_REQUEST, 'alice', 'ssh-connection', 'none');
      await peer.settled();
    }
    const { recipient } = await peer.open();
    expect(recipient).toBe(0);
  });

  it.each([
    ['services', MSG_SERVICE_REQUEST, ['ssh-userauth']],
    ['logins', MSG_USERAUTH_REQUEST, ['alice', 'ssh-connection', 'none']],
  ])('is thrown out for a flood of %s', async (_what, type, fields) => {
    const fate = peer.fate();
    const count = await peer.until(() => peer.send(type as number, ...(fields as string[])), 10_000);
    expect(count).toBeLessThan(10_000);
    await expect(fate).resolves.toMatchObject({ code: 'limit' });
  });
});

/** How victim, attacker and canary of SSH know each other: they run in processes of their own. */
import type { Protocol } from 'rxmux';
import { type SshOptions, ssh } from 'rxmux/ssh';
import { keyPair } from '../support/ssh.js';

export const sshLogin: SshOptions = {
  username: 'alice',
  password: 'open sesame',
  verifyHost: () => true,
};

export const sshCanary: Protocol = (transport, options) => ssh(sshLogin)(transport, options);

let server: Protocol | undefined;

export const sshVictim: Protocol = (transport, options) => {
  server ??= ssh({
    hostKeys: [keyPair().privateKey],
    authenticate: (attempt) => attempt.method === 'password' && attempt.password === sshLogin.password,
  });
  return server(transport, options);
};

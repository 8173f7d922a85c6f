/** ssh2: a direct-tcpip channel per stream, aes128-gcm (its fastest cipher on most machines). */
import ssh2 from 'ssh2';
import { duplexAdapter } from '../lib/duplex-adapter.mjs';
import { keyPair } from '../lib/ssh-keys.mjs';

const algorithms = { cipher: ['aes128-gcm@openssh.com'] };
const swallow = () => {};
let hostKey;

export default duplexAdapter({
  name: 'ssh2',
  server(duplex, onStream) {
    hostKey ??= keyPair().private;
    const server = new ssh2.Server({ hostKeys: [hostKey], algorithms }, (client) => {
      client.on('error', swallow);
      client.on('authentication', (attempt) => attempt.accept());
      client.on('tcpip', (accept) => onStream(accept()));
    });
    server.injectSocket(duplex);
  },
  client(duplex) {
    return new Promise((resolve, reject) => {
      const client = new ssh2.Client();
      client.on('error', reject); // later errors change nothing
      client.once('ready', () => resolve(client));
      client.connect({ sock: duplex, username: 'bench', algorithms });
    });
  },
  open(client, opened) {
    client.forwardOut('127.0.0.1', 1, '127.0.0.1', 2, (error, stream) => {
      if (error) throw error;
      opened(stream);
    });
  },
});

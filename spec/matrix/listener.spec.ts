import { listenerConformance } from 'rxmux/conformance';
import { framer } from 'rxmux/framer';
import { connect, listen } from 'rxmux/node';

for (const address of ['tcp://127.0.0.1:0', 'tcp://[::1]:0']) {
  listenerConformance(`a listener on ${address}`, async ({ limits = {} } = {}) => {
    const listener = await listen(address, framer, { limits });
    return { listener, dial: () => connect(listener.address, framer) };
  });
}

import { memoryPair } from 'rxmux';
import { conformance } from 'rxmux/conformance';
import { framer } from 'rxmux/framer';

conformance('framer over memory', async ({ limits = {} } = {}) => {
  const [near, far] = memoryPair();
  const client = framer(near, { role: 'client', limits: limits.client ?? {} });
  const server = framer(far, { role: 'server', limits: limits.server ?? {} });
  const cut = (): void => {
    const lost = new Error('the connection is lost');
    near.destroy(lost);
    far.destroy(lost);
  };
  return { client, server, cut };
});

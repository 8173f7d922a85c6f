import { memoryPair } from 'rxmux';
import { conformance } from 'rxmux/conformance';
import { spdy } from 'rxmux/spdy';

/** Data waits for the SYN_REPLY. */
const options = { earlyData: false };

conformance(
  'spdy over memory',
  async ({ limits = {} } = {}) => {
    const [near, far] = memoryPair();
    const client = spdy(near, { role: 'client', limits: limits.client ?? {} });
    const server = spdy(far, { role: 'server', limits: limits.server ?? {} });
    const cut = (): void => {
      const lost = new Error('the connection is lost');
      near.destroy(lost);
      far.destroy(lost);
    };
    return { client, server, cut };
  },
  options,
);

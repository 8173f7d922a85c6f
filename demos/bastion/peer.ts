import { framer } from 'rxmux/framer';
import { fromDuplex } from 'rxmux/node';

/**
 * `rxmux-peer`: what runs on a host that has sshd and no server of ours. It speaks the Simple Framer over its standard
 * input and output, so that one exec channel carries streams that either side opens.
 */
const stdio = { readable: process.stdin, writable: process.stdout };
const provider = framer(fromDuplex(stdio), { role: 'server' });

provider.accept$.subscribe({
  next: (stream) => {
    // Echoes, and asks back what it is called: streams go both ways.
    void stream.send(stream.data$).catch(() => {});
    const question = provider.newStream({
      question: 'who are you?',
      about: stream.headers.get('name') ?? '',
    });
    void question.end().catch(() => {});
  },
  error: () => {},
});
await provider.closed.catch(() => {});

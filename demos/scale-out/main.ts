import { stopSignal } from '../stopping.js';
import { tellStory } from './job.js';
import { renderTable } from './table.js';

/** One client connection, HAProxy, three servers: `npm run demo:scale-out`. */
const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};
try {
  const { conversations, complaints } = await tellStory(say, stopSignal());
  say(`\n${renderTable(conversations)}\n`);
  if (complaints.length === 0)
    say('Every stream ended as it should: finished, or lost with an error and opened again.');
  else {
    for (const complaint of complaints) say(`NOT AS IT SHOULD BE: ${complaint}`);
    process.exitCode = 1;
  }
} catch (error) {
  const missing = (error as { code?: string }).code === 'ENOENT';
  say(missing ? 'HAProxy is not installed (apt-get install haproxy).' : `It failed: ${String(error)}`);
  process.exitCode ??= 1;
}

import { type FixtureRun, runFixtures } from './run-fixtures.js';

/** Each fixture, and what its failure must say. */
const leaks = {
  timer: ['a timeout of 60000 ms is still pending', 'in "leaves a timeout"', 'timer.fixture.ts:2'],
  interval: ['an interval of 60000 ms is still pending', 'interval.fixture.ts:2'],
  'promised-timer': ['a promised timeout of 3000 ms is still pending', 'promised-timer.fixture.ts:4'],
  socket: ['a server on port', 'a socket from port', "the server's end of a socket", 'socket.fixture.ts:7'],
  child: ['(sleep) is still running', 'child.fixture.ts:4'],
  worker: ['worker 1 is still running', 'worker.fixture.ts:4'],
  port: ['a message port still has its listener', 'port.fixture.ts:2'],
  rejection: ['nobody cares', 'rejection.fixture.ts:2'],
  'late-rejection': ['nobody cares', 'late-rejection.fixture.ts:2'],
  'handled-late': ['a rejection was handled too late', 'somebody cares late', 'handled-late.fixture.ts:2'],
  exception: ['nobody catches', 'exception.fixture.ts:3'],
  'late-exception': ['nobody catches', 'late-exception.fixture.ts:3'],
  'stream-table': ['the stream table of the client still has framer#5 (open)', 'stream-table.fixture.ts:8'],
} as const;

describe('the Jest environment', () => {
  let run: FixtureRun;

  beforeAll(async () => {
    run = await runFixtures([...Object.keys(leaks), 'clean', 'context', 'context-again'], {
      RXMUX_LEAK_GRACE_MS: '200',
    });
  }, 60_000);

  it.each(Object.entries(leaks))('fails a file for its leftovers: %s', (name, sentences) => {
    const file = run.files.get(name);
    expect(file?.passed).toBe(false);
    for (const sentence of sentences) expect(file?.message).toContain(sentence);
  });

  it('reports each leftover once', () => {
    expect(run.files.get('socket')?.message.match(/leak: /g)).toHaveLength(3);
    expect(run.files.get('child')?.message.match(/leak: /g)).toHaveLength(1);
    expect(run.files.get('worker')?.message.match(/leak: /g)).toHaveLength(1);
  });

  it('passes a file that tidies up, though the files before it in the same process did not', () => {
    expect(run.files.get('clean')).toEqual({ passed: true, message: '' });
  });

  it.each(['context', 'context-again'])('takes off the contexts that other files left on: %s', (name) => {
    expect(run.files.get(name)).toEqual({ passed: true, message: '' });
  });

  it('fails the run, and counts a file that failed outside its tests', () => {
    expect(run.exitCode).toBe(1);
    expect(run.stdout).toMatch(/(^|\n)Tests: \d+ passed, 13 failed, 0 skipped\n$/);
  });
});

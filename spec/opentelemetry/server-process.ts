import { context, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import type { Stream } from 'rxmux';
import { framer } from 'rxmux/framer';
import { listen } from 'rxmux/node';
import { contextOf, opentelemetry } from 'rxmux/opentelemetry';
import { startTelemetry } from './telemetry.js';

/** A server of its own, which tells its address, and at the end its spans. */
const telemetry = startTelemetry(new AsyncLocalStorageContextManager());
const listener = await listen('tcp://127.0.0.1:0', framer);
listener.accept$.subscribe((connection) => {
  connection.pipe(opentelemetry()).accept$.subscribe({ next: serve, error: () => {} });
});
process.send?.({ address: listener.address });
process.once('message', async () => {
  await listener.close();
  process.send?.({ spans: telemetry.spans() }, () => process.disconnect());
});

function serve(stream: Stream): void {
  // accept$ delivers within the stream's context, so this needs none.
  trace.getTracer('server').startSpan('delivered').end();
  void work(stream).catch(() => {});
}

async function work(stream: Stream): Promise<void> {
  const first = await stream.read();
  context.with(contextOf(stream), () => trace.getTracer('server').startSpan('later').end());
  if (new TextDecoder().decode(first ?? undefined) === 'break') stream.reset('internal-error');
  else {
    await stream.end();
    for await (const _chunk of stream);
  }
}

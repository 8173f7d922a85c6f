import type { Transport } from 'rxmux';

/** Everything that a transport has told, in order. */
export function listenTo(transport: Transport): unknown[] {
  const told: unknown[] = [];
  transport.start({
    onData: (chunk) => told.push([...chunk]),
    onEnd: () => told.push('end'),
    onDrain: () => told.push('drain'),
    onClose: (error) => told.push(error === undefined ? 'close' : (error as Error)),
  });
  return told;
}

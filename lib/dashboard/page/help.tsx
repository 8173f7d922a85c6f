import type { VNode } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

const keys = [
  ['/', 'filter'],
  ['1 2 3', 'streams, timeline, log'],
  ['↑ ↓ or j k', 'the row above, below; Enter opens it'],
  ['space', 'hold the picture, or play and pause a replay'],
  ['t', 'dark or light'],
  ['Esc', 'close, clear'],
];
const filters = [
  ['upload', 'in a label, a header or a frame’s name'],
  ['#5', 'the stream with that id'],
  ['state:open', 'side:local, conn:2, proto:http2, :path:/echo'],
  ['blocked:window', 'or transport, or reader'],
  ['in>1m', 'out, queue, age>5s; in the log length>1k'],
  ['-name:data', 'a minus: everything but this'],
];
const marks = [
  ['○', 'opened'],
  ['◓', 'the peer sends no more'],
  ['◒', 'this end sends no more'],
  ['✕', 'reset'],
  ['|', 'closed'],
];

/** Keys, filters, and how to read a lane. */
export function Help({ onClose }: { onClose: () => void }): VNode {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const list = (rows: readonly (readonly string[])[]): VNode => (
    <dl>
      {rows.map(([key, text]) => (
        <div key={key}>
          <dt>
            <kbd>{key}</kbd>
          </dt>
          <dd>{text}</dd>
        </div>
      ))}
    </dl>
  );
  return (
    <dialog class="help" ref={dialog} onClose={onClose}>
      <header>
        <h2>How to read this</h2>
        <button type="button" class="icon" aria-label="Close" onClick={onClose}>
          ✕
        </button>
      </header>
      <div class="help-columns">
        <section>
          <h3>Keys</h3>
          {list(keys)}
        </section>
        <section>
          <h3>Filters</h3>
          {list(filters)}
        </section>
        <section>
          <h3>Lanes</h3>
          {list(marks)}
          <p class="hint">
            Bars above the line are bytes in, below it bytes out, on a logarithmic scale. The ribbon at the
            bottom says what the stream waited for: <b class="window">window</b>,{' '}
            <b class="transport">transport</b> or <b class="reader">reader</b>.
          </p>
        </section>
      </div>
    </dialog>
  );
}

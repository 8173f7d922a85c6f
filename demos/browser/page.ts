import { framer, fromWebSocket, pullMap, type Stream } from 'rxmux';

/** What the page does. It is bundled for it, with the portable entry and nothing of Node. */
const connection = framer(fromWebSocket(new WebSocket(location.href.replace(/^http/, 'ws'))));

const element = <E extends HTMLElement>(id: string): E => document.getElementById(id) as E;
const show = (id: string, text: string): void => {
  element(id).textContent = text;
};
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const kibibytes = (bytes: number): string => `${Math.round(bytes / 1024).toLocaleString('en')} KiB`;

/** The server opens streams too: this one says each time what the server's side looks like. */
connection.accept$.subscribe({
  next: async (stream) => {
    let text = '';
    for await (const chunk of stream) {
      const lines = (text + new TextDecoder().decode(chunk)).split('\n');
      text = lines.pop() as string;
      const last = lines.at(-1);
      if (last === undefined) continue;
      const { clock, sent } = JSON.parse(last) as { clock: string; sent: number };
      show('clock', clock);
      show('sent', kibibytes(sent));
    }
  },
  error: (reason: Error) => show('clock', reason.message),
});

/** An endless stream, read as slowly as the slider says: the server stops when its window is used up. */
const hose = connection.newStream({ path: '/hose' });
const pace = element<HTMLInputElement>('pace');
let read = 0;
hose.data$.pipe(pullMap((chunk) => pause(100 - Number(pace.value)).then(() => chunk))).subscribe({
  next: (chunk) => {
    read += chunk.byteLength;
    show('read', kibibytes(read));
  },
  error: () => {},
});

/** A stream for each file, all of them at once, on the same connection. */
element<HTMLInputElement>('files').onchange = ({ target }) => {
  for (const file of (target as HTMLInputElement).files ?? []) void upload(file);
};

async function upload(file: File): Promise<void> {
  const line = element('uploads').appendChild(document.createElement('li'));
  const stream = connection.newStream({ path: '/upload' });
  const percent = (): string => ((100 * stream.stats.bytesOut) / Math.max(1, file.size)).toFixed();
  const watching = setInterval(() => {
    line.textContent = `${file.name}: ${percent()} %`;
  }, 100);
  void stream.send(file.stream());
  const answer = await textOf(stream).catch(({ message }: Error) => message);
  clearInterval(watching);
  line.textContent = `${file.name}: ${answer}`;
}

async function textOf(stream: Stream): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += new TextDecoder().decode(chunk);
  return text;
}

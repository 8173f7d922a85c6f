import { render } from 'preact';
import { App } from './app.js';
import { Session } from './session.js';

const session = new Session();
session.start();
render(<App session={session} />, document.body);

// A file may be dropped anywhere on the page.
const { body } = document;
addEventListener('dragover', (event) => {
  event.preventDefault();
  body.classList.add('dropping');
});
addEventListener('dragleave', (event) => {
  if (event.relatedTarget === null) body.classList.remove('dropping');
});
addEventListener('drop', (event) => {
  event.preventDefault();
  body.classList.remove('dropping');
  const file = event.dataTransfer?.files[0];
  if (file !== undefined) void session.replayFile(file);
});

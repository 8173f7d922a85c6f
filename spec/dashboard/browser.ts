import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, chromium, type Page } from 'playwright-core';
import { findBinary } from '../support/interop.js';

/** What a page has complained about, and where it wanted to go. */
export interface Watched {
  readonly page: Page;
  readonly complaints: string[];
  readonly requests: string[];
}

export interface Browser {
  open(address: string): Promise<Watched>;
  close(): Promise<void>;
}

const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Debian's Chromium, with a profile that nobody has used before, and flags of the caller's own. */
export async function startBrowser(...more: string[]): Promise<Browser> {
  const profile = await mkdtemp(join(tmpdir(), 'rxmux-chromium-'));
  const context: BrowserContext = await chromium.launchPersistentContext(profile, {
    executablePath: findBinary('chromium') ?? 'chromium',
    headless: true,
    args: [...flags, ...more],
    viewport: { width: 1440, height: 900 },
  });
  return {
    open: async (address) => {
      const page = await context.newPage();
      const watched: Watched = { page, complaints: [], requests: [] };
      page.on('console', (message) => {
        if (message.type() === 'error' || message.type() === 'warning')
          watched.complaints.push(message.text());
      });
      page.on('pageerror', (error) => watched.complaints.push(error.message));
      page.on('request', (request) => watched.requests.push(request.url()));
      await page.goto(address);
      return watched;
    },
    close: async () => {
      await context.close();
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

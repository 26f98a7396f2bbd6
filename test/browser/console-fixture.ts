/**
 * The console in a real browser: one browser, one domain, and its administration service with the console on its own origin.
 * Whatever page is open, what a browser reports of it is kept: violations of the page's policy, errors, requests to other hosts.
 */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import axe from 'axe-core';
import { buildConsole } from '../../scripts/console-build.ts';
import { administratorOperations } from '../../src/api/administrators.ts';
import type { AnswerOf } from '../../src/api/operation.ts';
import {
  type AdministrationFixture,
  startAdministration,
} from '../../src/processes/administration/administration-fixture.ts';
import { createConsoleServer } from '../../src/rest/console-server.ts';
import { type BrowserContext, type Page, startBrowser } from '../../src/testing/browser.ts';
import { sharedFolderVariable } from '../harness/archives.ts';

export interface ConsoleFixture {
  readonly admin: AdministrationFixture;
  /** `http://localhost:port` */
  readonly url: string;
  /** What the browser reported: nothing, if all is well. */
  readonly reports: string[];
  /** Requests for the event stream that the browser has made. */
  readonly streams: string[];
  /** A browser that nobody has used before. @param also another origin that it may ask, whatever its certificate */
  newVisitor(also?: string): Promise<BrowserContext>;
  /** A link that makes the first administrator. */
  firstLink(): Promise<string>;
  /** Nobody answers, until the returned function has been called. */
  stopAnswering(): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

export async function startConsole(): Promise<ConsoleFixture> {
  const [admin, folder, browser] = await Promise.all([
    startAdministration(),
    builtConsole(),
    startBrowser(process.env[sharedFolderVariable]),
  ]);
  const listen = async (port: number) => {
    const served = createConsoleServer({
      app: admin.app,
      folders: async function* () {
        yield folder;
      },
      names: [],
      servedBy: 'administration',
    });
    await new Promise<void>((resolve, reject) => {
      served.server.once('error', reject).listen(port, '127.0.0.1', resolve);
    });
    return served;
  };
  let served = await listen(0);
  const { port } = served.server.address() as AddressInfo;
  const url = `http://localhost:${port}`;
  const reports: string[] = [];
  const streams: string[] = [];
  return {
    ...{ admin, url, reports, streams },
    newVisitor: async (also) => {
      const context = await browser.newContext({
        baseURL: url,
        viewport: { width: 1440, height: 900 },
        reducedMotion: 'reduce',
        ignoreHTTPSErrors: also !== undefined,
      });
      context.setDefaultTimeout(20_000);
      watch(context, [url, ...(also === undefined ? [] : [also])], reports, streams);
      return context;
    },
    firstLink: async () => {
      const { method, path: at } = administratorOperations.inviteFirst;
      const { code } = (await admin.call(method, at)).body as AnswerOf<typeof administratorOperations.inviteFirst>;
      return `${url}/#code=${code}`;
    },
    stopAnswering: async () => {
      await served.close(0);
      return async () => {
        served = await listen(port);
      };
    },
    close: async () => {
      await browser.close();
      await served.close(0);
      await admin.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function builtConsole(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'bramble-console-'));
  const { files } = await buildConsole(path.join(import.meta.dirname, '..', '..'));
  for (const [name, contents] of files) {
    await mkdir(path.dirname(path.join(folder, name)), { recursive: true });
    await writeFile(path.join(folder, name), contents);
  }
  return folder;
}

/** A refused or interrupted request is the page's business: it says so itself. */
const expected = /Failed to load resource: (the server responded with a status of (401|4\d\d)|net::ERR_)/;

function watch(context: BrowserContext, origins: readonly string[], reports: string[], streams: string[]): void {
  context.on('request', (request) => {
    const origin = new URL(request.url()).origin;
    if (!origins.includes(origin) && origin !== 'null') reports.push(`request to another host: ${request.url()}`);
    if (request.resourceType() === 'eventsource') streams.push(request.url());
  });
  context.on('console', (message) => {
    if (message.type() === 'error' && !expected.test(message.text())) reports.push(message.text());
  });
  context.on('weberror', (failure) => reports.push(`error in the page: ${failure.error().message}`));
}

/** What axe finds, a line each; and whether anything reaches out of the width of the window. */
async function faultsOf(page: Page): Promise<string[]> {
  // A script element would be refused by the page's policy.
  await page.evaluate(`typeof axe === 'undefined' && (() => {${axe.source}})()`);
  const violations = await page.evaluate(async () => {
    const { axe: engine } = globalThis as unknown as { axe: typeof import('axe-core') };
    return (await engine.run(document, { resultTypes: ['violations'] })).violations.map(
      ({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`,
    );
  });
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  return overflow > 0 ? [...violations, `${overflow} px are beyond the width of the window`] : violations;
}

const widths = [
  [375, 812],
  [768, 1024],
  [1440, 900],
] as const;
const photographs = process.env['BRAMBLE_SCREENSHOTS'];

/** A page in both themes and at all widths; with BRAMBLE_SCREENSHOTS=<folder> it is photographed. */
export async function examine(name: string, page: Page): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    for (const [width, height] of widths) {
      await page.setViewportSize({ width, height });
      assert.deepEqual(await faultsOf(page), [], `${name}, ${colorScheme}, ${width} px`);
      if (photographs === undefined) continue;
      await mkdir(photographs, { recursive: true });
      // What stands before a page is as large as the window.
      const fullPage = (await page.locator('dialog[open]').count()) === 0;
      await page.screenshot({ path: path.join(photographs, `${name}-${width}-${colorScheme}.png`), fullPage });
    }
  }
}

export const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true });
export const heading = (page: Page, name: string | RegExp) => page.getByRole('heading', { name });
export const inDialog = (page: Page) => page.locator('dialog[open]').last();

/** Chosen by the first administrator, `ada`. */
export const password = 'a sentence is fine';

/** By the first link, past the rest of the set-up. */
export async function becomeFirstAdministrator(site: ConsoleFixture, page: Page): Promise<void> {
  await page.goto(await site.firstLink());
  await page.getByLabel('Name', { exact: true }).fill('ada');
  await page.getByLabel('Password', { exact: true }).fill(password);
  await button(page, 'Continue').click();
  await button(page, 'Later').click();
  await button(page, 'Later').click();
  await heading(page, 'Example').waitFor();
}

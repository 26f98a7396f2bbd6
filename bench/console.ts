/**
 * How long the console takes from its address until it can be used, in a browser beside the domain, on the machine's own cores: each
 * run is a browser that has nothing of it, but is signed in.
 *
 * It can be used once the domain's figures are there and the page's thread has been free for half a second.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { administratorOperations } from '../src/api/administrators.ts';
import { type BrowserContext, type Page, startBrowser } from '../src/testing/browser.ts';
import { until } from '../src/testing/condition.ts';
import { workingTreeArchive } from '../test/harness/archives.ts';
import { isAnswering, type RunningDomain, startDomain } from '../test/harness/domain.ts';
import { median } from './median.ts';

interface Load {
  firstDrawnMs: number;
  shownMs: number;
  usableMs: number;
}

interface ConsoleReport {
  runs: number;
  /** In the median, and at the most. */
  firstDrawnMs: readonly [number, number];
  shownMs: readonly [number, number];
  usableMs: readonly [number, number];
}

export async function benchConsole(options: { runs: number; say: (text: string) => void }): Promise<ConsoleReport> {
  const { file } = await workingTreeArchive();
  const domain = await startDomain({ archive: file, instances: 2 });
  const browser = await startBrowser();
  try {
    await until('the domain is at work', 60_000, () => isAnswering(domain));
    const { url } = JSON.parse(await readFile(join(domain.home, 'console.json'), 'utf8')) as { url: string };
    const first = await browser.newContext();
    await signIn(domain, await first.newPage(), url);
    const loads: Load[] = [];
    for (let run = 0; run < options.runs; run++) {
      // Its cookies, and nothing else: no cache of files or compiled programs.
      const context = await browser.newContext({ storageState: await first.storageState() });
      loads.push(await measure(context, url));
      await context.close();
    }
    const report = summed(loads);
    options.say(describeConsole(report));
    return report;
  } finally {
    await browser.close();
    await domain.stop();
  }
}

async function signIn(domain: RunningDomain, page: Page, url: string): Promise<void> {
  const { code } = await domain.api.call(administratorOperations.inviteFirst, {});
  await page.goto(`${url}/#code=${code}`);
  await page.getByLabel('Name', { exact: true }).fill('ada');
  await page.getByLabel('Password', { exact: true }).fill('a sentence is fine');
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByLabel('Account name').waitFor();
}

/** What the page notes of itself: when the overview is there, and until when its thread was busy. */
const note = `
  globalThis.noted = { shownAt: 0, busyUntil: 0 };
  new PerformanceObserver((list) => {
    for (const { startTime, duration } of list.getEntries()) noted.busyUntil = startTime + duration;
  }).observe({ type: 'longtask', buffered: true });
  new MutationObserver(() => {
    if (noted.shownAt === 0 && document.querySelector('.figure') !== null) noted.shownAt = performance.now();
  }).observe(document, { childList: true, subtree: true });`;

const isUsable = 'noted.shownAt > 0 && performance.now() - Math.max(noted.shownAt, noted.busyUntil) > 500';

async function measure(context: BrowserContext, url: string): Promise<Load> {
  await context.addInitScript(note);
  const page = await context.newPage();
  await page.goto(url);
  // The page's policy lets a test ask, but no function be made of a text in it.
  await until('the console can be used', 60_000, async () => await page.evaluate<boolean>(isUsable));
  return await page.evaluate<Load>(`({
    firstDrawnMs: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0,
    shownMs: noted.shownAt,
    usableMs: Math.max(noted.shownAt, noted.busyUntil),
  })`);
}

function summed(loads: readonly Load[]): ConsoleReport {
  const of = (member: keyof Load) => {
    const values = loads.map((load) => load[member]);
    return [Math.round(median(values)), Math.round(Math.max(...values))] as const;
  };
  return { runs: loads.length, firstDrawnMs: of('firstDrawnMs'), shownMs: of('shownMs'), usableMs: of('usableMs') };
}

function describeConsole({ runs, firstDrawnMs, shownMs, usableMs }: ConsoleReport): string {
  const line = (what: string, [middle, most]: readonly [number, number]) => `${what} ${middle} ms, at most ${most} ms`;
  return [
    `The console, ${runs} loads without a cache, signed in, from its address until`,
    line('  something is drawn:', firstDrawnMs),
    line('  the overview is there:', shownMs),
    line('  it can be used:', usableMs),
  ].join('\n');
}

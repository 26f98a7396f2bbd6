/**
 * The console as a person meets it, in a real browser: from the first link to the audit, by keyboard, in both themes and at
 * three widths, live in two tabs, and while nobody answers.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Secret, TOTP } from 'otpauth';
import type { BrowserContext, Page } from '../../src/testing/browser.ts';
import { until } from '../../src/testing/condition.ts';
import {
  button as buttonOf,
  type ConsoleFixture,
  examine as examineOf,
  heading as headingOf,
  inDialog,
  password,
  startConsole,
} from './console-fixture.ts';

const limited = { timeout: 120_000 };
const site: ConsoleFixture = await startConsole();
after(async () => await site.close());
const ada: BrowserContext = await site.newVisitor();
const page: Page = await ada.newPage();
/** Most requests within some 10 ms, few beyond 100: bins grow by √2. */
const histogram = [0, 0, 0, 0, 4, 20, 30, 12, 6, 3, 2, 1, 0, 1];
const button = (name: string, on = page) => buttonOf(on, name);
const heading = (name: string | RegExp, on = page) => headingOf(on, name);
const examine = async (name: string, on = page) => await examineOf(name, on);

test(
  'the first link makes the first administrator, an account and its activation password, and is good for once',
  limited,
  async () => {
    const link = await site.firstLink();
    await page.goto(link);
    await heading('Create your administrator').waitFor();
    assert.equal(await page.evaluate(() => location.hash), '', 'the code stays in no address');
    await examine('first-administrator');
    await page.getByLabel('Name', { exact: true }).fill('ada');
    await page.getByLabel('Password', { exact: true }).fill(password);
    await button('Continue').click();
    await heading('Add the first account').waitFor();
    await examine('first-account');
    await page.getByLabel('Account name').fill('grace');
    await button('Create the account').click();
    await heading('Enrol a device').waitFor();
    await page.getByRole('img', { name: /QR code of https:\/\/mdm\.example\.org:8443\/activate/ }).waitFor();
    await examine('activation-password');
    await button('Continue').click();
    await heading('Push certificate').waitFor();
    await examine('push-certificate');
    await button('Later').click();
    await heading('Example').waitFor();
    assert.equal((await site.admin.call('GET', '/accounts/grace')).status, 200);

    const stranger = await (await site.newVisitor()).newPage();
    await stranger.goto(link);
    await heading('This link is no longer valid', stranger).waitFor();
    await examine('used-link', stranger);
    await stranger.route('**/api/v1/sign-in/code/look', async (route) => await route.abort());
    await stranger.goto('about:blank');
    await stranger.goto(link);
    await heading('You were not signed in', stranger).waitFor();
    await stranger.context().close();
  },
);

test('the overview has what needs attention first, and is as it is now', limited, async () => {
  await page.goto('/');
  await page.getByText('Live', { exact: true }).waitFor();
  await page.getByText('Charts appear once devices have connected.').waitFor();
  await examine('overview-empty');
  await site.admin.db`
    insert into figure_minute (minute, subject, connects, errors, requests, failed, latency, waiting, in_flight, suspects, budget)
    select date_trunc('minute', now()) - make_interval(mins => m), 'domain', 10 + m, 1, 10 + m, 0,
           ${histogram}::bigint[], abs(30 - m), least(60, m), 2, 60
      from generate_series(1, 50) m`;
  await site.admin.db`
    insert into component (name, kind, host, boot_id, process_id, release, link_versions, features, lease_until)
    values ('lost', 'connection', 'test-host', 'b', 4, '1.4.0', '{1}', '{}', now() - interval '4 minutes')`;
  await site.admin.call('POST', '/tokens', { name: 'told-live' });
  await page.getByText(/^first .*token told-live/).waitFor();
  await page.getByText('lost is gone').waitFor();
  const slider = page.getByRole('slider', { name: 'Requests from devices per minute' });
  await slider.waitFor();
  await slider.press('ArrowLeft');
  assert.match((await slider.getAttribute('aria-valuetext')) ?? '', /: answered 12, failed 1$/);
  await page.getByText('2 releases side by side').or(page.getByText('all of one release')).first().waitFor();
  await examine('overview');
});

test('two tabs share one event stream, and both are told', limited, async () => {
  const before = site.streams.length;
  assert.ok(before > 0);
  const second = await ada.newPage();
  await second.goto('/');
  await second.getByText('Live', { exact: true }).waitFor();
  await site.admin.call('POST', '/tokens', { name: 'told-twice' });
  for (const tab of [page, second]) await tab.getByText(/^first .*token told-twice/).waitFor();
  assert.equal(site.streams.length, before, 'the second tab opens none of its own');
  await second.close();
});

test('what the page asks while nobody is at it says so', limited, async () => {
  const asksAs = async (unattended: boolean) =>
    await page.waitForRequest(
      (request) => request.url().endsWith('/api/v1/me') && unattended === 'bramble-unattended' in request.headers(),
    );
  await page.mouse.move(10, 10);
  await asksAs(false);
  await page.evaluate(() => {
    const now = performance.now.bind(performance);
    performance.now = () => now() + 61_000;
  });
  await asksAs(true);
  await page.mouse.move(20, 20);
  await asksAs(false);
});

test('who is limited to a group has an overview of it', limited, async () => {
  await site.admin.call('POST', '/groups', { name: 'office' });
  const made = await site.admin.call('POST', '/administrators', {
    name: 'gus',
    role: 'junior-helpdesk',
    groups: ['office'],
  });
  const visitor = await site.newVisitor();
  const desk = await visitor.newPage();
  await desk.goto(`/#code=${(made.body as { code: string }).code}`);
  await desk.getByLabel('Password', { exact: true }).fill(password);
  await button('Sign in', desk).click();
  await desk.getByText('you see office').waitFor();
  await desk.getByText('Nothing needs your attention.').waitFor();
  assert.equal(await heading('Components', desk).count(), 0);
  await examine('limited-overview', desk);
  await visitor.close();
});

test('an authenticator is added by its code, and asked for from then on', limited, async () => {
  await page.goto('/you');
  await button('Add authenticator').click();
  await button('Begin').click();
  const secret = await inDialog(page).locator('code').textContent();
  await examine('authenticator');
  await page.getByLabel('Code', { exact: true }).fill(new TOTP({ secret: Secret.fromBase32(secret ?? '') }).generate());
  await button('Confirm').click();
  await page.getByText('This is the only time they are shown.').waitFor();
  const recovery = (await inDialog(page).locator('code').textContent())?.split('\n')[0] ?? '';
  await examine('recovery-codes');
  await button('I have saved them').click();
  await page.getByText('on', { exact: true }).waitFor();
  await examine('your-sign-in');

  const elsewhere = await (await site.newVisitor()).newPage();
  await elsewhere.goto('/audit');
  await elsewhere.getByLabel('Name', { exact: true }).fill('ada');
  await elsewhere.getByLabel('Password', { exact: true }).fill(password);
  await button('Sign in', elsewhere).click();
  await heading('One more step', elsewhere).waitFor();
  await examine('second-factor', elsewhere);
  await elsewhere.getByLabel('Code', { exact: true }).fill(recovery);
  await button('Sign in', elsewhere).click();
  await heading('Audit', elsewhere).waitFor();
  await elsewhere.context().close();

  await button('Remove authenticator').click();
  await button('Remove the authenticator').click();
  await page.getByText('off', { exact: true }).waitFor();
});

test('a passkey lets in without name, password and code', limited, async () => {
  const visitor = await site.newVisitor();
  const device = await visitor.newPage();
  const authenticator = await visitor.newCDPSession(device);
  await authenticator.send('WebAuthn.enable');
  await authenticator.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      ...{ protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true },
      ...{ isUserVerified: true, automaticPresenceSimulation: true },
    },
  });
  await device.goto('/you');
  await device.getByLabel('Name', { exact: true }).fill('ada');
  await device.getByLabel('Password', { exact: true }).fill(password);
  await device.keyboard.press('Enter');
  await button('Add a passkey', device).click();
  await inDialog(device).getByLabel('Name').fill('desk');
  await button('Add the passkey', device).click();
  await button('Remove the passkey desk', device).waitFor();
  await examine('passkeys', device);
  await button('Sign out ada', device).click();
  await button('Sign in with a passkey', device).click();
  await heading('Your sign-in', device).waitFor();
  await device.goto('/access/sessions');
  await device.getByText('by passkey').first().waitFor();
  await visitor.close();
});

test('the audit is filtered by what the address says, and opened by keyboard', limited, async () => {
  await page.goto('/audit?subject=grace');
  const entry = page.locator('summary', { hasText: 'Create an account' });
  await entry.waitFor();
  await entry.press('Enter');
  await page.getByText('Added: account').waitFor();
  await examine('audit');
  await page.getByLabel('Affected').fill('nobody-at-all');
  await page.getByText('No change matches.').waitFor();
  assert.match(page.url(), /\?subject=nobody-at-all$/);
  await button('Show all').click();
  await page.locator('summary').nth(2).waitFor();
  await page.locator('summary').first().focus();
  await page.keyboard.press('j');
  assert.equal(
    await page
      .locator('summary')
      .nth(1)
      .evaluate((line) => line === document.activeElement),
    true,
  );
  await button('Verify the chain').click();
  await page.getByText(/records are as they were written/).waitFor();
});

test('a page that cannot be loaded says so, and the others are still there', limited, async () => {
  const visitor = await ada.newPage();
  await visitor.goto('/');
  await visitor.getByRole('slider').first().waitFor();
  await visitor.route('**/assets/**', (route) => route.abort());
  await visitor.getByRole('link', { name: 'Access' }).click();
  await heading('This page cannot be shown', visitor).waitFor();
  await examine('failed-page', visitor);
  const [report, ...others] = site.reports.splice(0);
  assert.match(report ?? '', /Failed to fetch dynamically imported module/);
  assert.deepEqual(others, []);
  await visitor.getByRole('link', { name: 'Overview' }).click();
  await heading('Example', visitor).waitFor();
  await visitor.close();
});

test('while nobody answers, what is shown says since when, and goes on by itself', limited, async () => {
  await page.goto('/');
  await heading('Example').waitFor();
  const answerAgain = await site.stopAnswering();
  await page.getByText('The administration service does not answer.').waitFor();
  await heading('Example').waitFor();
  await examine('stale');
  await answerAgain();
  await page.getByText('The administration service does not answer.').waitFor({ state: 'detached' });
  await page.getByText('Live', { exact: true }).waitFor();
});

test('signing out and in again takes a keyboard and nothing else', limited, async () => {
  await page.setViewportSize({ width: 1440, height: 900 });
  const other = await ada.newPage();
  await other.goto('/');
  await heading('Example', other).waitFor();
  await button('Sign out ada').focus();
  await page.keyboard.press('Enter');
  await heading('Sign in').waitFor();
  await heading('Sign in again', other).waitFor();
  assert.doesNotMatch(await other.content(), /Example/, 'what was shown is gone, in other tabs too');
  await other.close();
  await examine('sign-in');
  const signIn = async (typed: string) => {
    await page.getByLabel('Name', { exact: true }).focus();
    await page.keyboard.press('ControlOrMeta+a');
    await page.keyboard.type('ada');
    await page.keyboard.press('Tab');
    await page.keyboard.press('ControlOrMeta+a');
    await page.keyboard.type(typed);
    await page.keyboard.press('Enter');
  };
  await signIn('not that one');
  await page.getByRole('alert').waitFor();
  await signIn(password);
  await heading('Example').waitFor();
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement?.textContent?.trim()), 'Skip to the page');
  for (const name of ['Bramble', 'Overview', 'Access']) {
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement?.textContent?.trim()), name);
  }
  await page.keyboard.press('Enter');
  await heading('Administrators').waitFor();
  await until('the page is at Access', 20_000, () => new URL(page.url()).pathname === '/access');
});

test('nothing was asked of another host, no policy was violated, and no page failed', limited, () => {
  assert.deepEqual(site.reports, []);
});

/**
 * Who has access, as an administrator meets it in the console: roles of one's own, tokens and administrators limited to groups,
 * and what can be done to another administrator; and that neither a refusal, nor Escape, nor the end of a session loses what was
 * typed.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Secret, TOTP } from 'otpauth';
import type { AnswerOf } from '../../src/api/operation.ts';
import type { roleOperations } from '../../src/api/roles.ts';
import { words } from '../../src/console/messages/words.ts';
import { clientSecret, startOpenidProvider } from '../../src/processes/administration/openid-provider-fixture.ts';
import type { Page } from '../../src/testing/browser.ts';
import {
  becomeFirstAdministrator,
  button,
  type ConsoleFixture,
  examine as examineOf,
  heading,
  inDialog,
  password,
  startConsole,
} from './console-fixture.ts';

const limited = { timeout: 120_000 };
const site: ConsoleFixture = await startConsole();
after(async () => await site.close());
const page: Page = await (await site.newVisitor()).newPage();
await becomeFirstAdministrator(site, page);
for (const name of ['sales', 'engineering']) await site.admin.call('POST', '/groups', { name });
await site.admin.call('POST', '/tokens', { name: 'old' });

const examine = async (name: string, on = page) => await examineOf(name, on);
const row = (name: string, on = page) => on.getByRole('row', { name: new RegExp(`^${name}`) });
const focused = async () => await page.evaluate(() => document.activeElement?.textContent?.trim());
const closed = async (on = page) => await on.locator('dialog[open]').waitFor({ state: 'detached' });

test(
  'a role of one’s own is made from another one, changed, and not removed while somebody has it',
  limited,
  async () => {
    await page.goto('/access/roles');
    await heading(page, 'Rights by role').waitFor();
    await examine('roles');
    await button(page, 'Create a role').click();
    await inDialog(page).getByLabel('Name').fill('auditor');
    await inDialog(page).getByLabel('Start from').selectOption('junior-helpdesk');
    await inDialog(page).getByLabel('read the audit').check();
    await examine('role');
    await button(page, 'Create the role').click();
    await closed();
    await row('auditor').getByText('your own').waitFor();
    await button(page, 'Change the role auditor').click();
    await inDialog(page).getByLabel('All of Devices').check();
    await inDialog(page).getByLabel('All of Devices').uncheck();
    await button(page, 'Save').click();
    await closed();
    const { roles } = (await site.admin.call('GET', '/roles')).body as AnswerOf<typeof roleOperations.list>;
    const rights = roles.find(({ name }) => name === 'auditor')?.rights ?? [];
    assert.ok(rights.includes('audit.read'));
    assert.deepEqual(
      rights.filter((right) => right.startsWith('devices.')),
      [],
    );
  },
);

test('a token is limited to a role and groups, shown once, and revoked by its name', limited, async () => {
  await page.goto('/access/tokens');
  await button(page, 'Create a token').click();
  await inDialog(page).getByLabel('Name').fill('desk');
  await inDialog(page).getByLabel('Role').selectOption('auditor');
  await inDialog(page).getByLabel('some groups, their accounts and devices').check();
  assert.equal(await button(page, 'Create a token').last().getAttribute('aria-disabled'), 'true');
  await inDialog(page).getByLabel('sales').check();
  await inDialog(page).getByText('The same as a command').click();
  await inDialog(page).getByText('bramble token create desk --role auditor --group sales --expires 90d').waitFor();
  await examine('new-token');
  await button(page, 'Create a token').last().click();
  await page.getByText('This is the only time it is shown.').waitFor();
  await examine('token-made');
  await button(page, 'Done').click();
  await row('desk').getByText('limited to sales').waitFor();
  await examine('tokens');

  await page.goto('/access/roles');
  await row('auditor').getByText('1 token').waitFor();
  await button(page, 'Remove the role auditor').click();
  await page.getByText('1 token still has this role.').waitFor();
  await button(page, 'Close').click();

  await page.goto('/access/tokens');
  await button(page, 'Revoke the token desk').click();
  await page.getByLabel('Type “desk” to confirm').fill('desk');
  await examine('revoke');
  await button(page, 'Revoke for good').click();
  await closed();
  await page.locator('summary', { hasText: '1 revoked or expired' }).click();
  await row('desk').getByText('revoked').waitFor();
});

test(
  'what was carried out without an answer is answered, not done again, when the form is sent again',
  limited,
  async () => {
    await page.goto('/access/tokens');
    await button(page, 'Create a token').click();
    await inDialog(page).getByLabel('Name').fill('weekly');
    await page.route(
      '**/api/v1/tokens',
      async (route) => {
        assert.equal((await route.fetch()).status(), 201);
        await route.abort('connectionreset');
      },
      { times: 1 },
    );
    await button(page, 'Create a token').last().click();
    await inDialog(page).getByText(words.unknownWhetherDone).waitFor();
    await button(page, 'Create a token').last().click();
    await page.getByText('This is the only time it is shown.').waitFor();
    await button(page, 'Done').click();
    await row('weekly').waitFor();
    assert.equal(await row('weekly').count(), 1);
  },
);

test('an administrator is invited, limited, signed out, disabled, reset and removed', limited, async () => {
  await page.goto('/access');
  await button(page, 'Add an administrator').click();
  await inDialog(page).getByLabel('Name', { exact: true }).fill('grace');
  await inDialog(page).getByLabel('Role').selectOption('senior-helpdesk');
  await inDialog(page).getByLabel('some groups, their accounts and devices').check();
  await inDialog(page).getByLabel('engineering').check();
  await examine('invite');
  await button(page, 'Create the invitation').click();
  await page.getByText('This is the only time it is shown.').waitFor();
  const link = (await inDialog(page).locator('code').textContent()) ?? '';
  await examine('invitation');
  await button(page, 'Done').click();

  const visitor = await site.newVisitor();
  const graces = await visitor.newPage();
  await graces.goto(link);
  await heading(graces, 'Welcome, grace').waitFor();
  await examine('welcome', graces);
  await graces.getByLabel('Password', { exact: true }).fill('another fine sentence');
  await button(graces, 'Sign in').click();
  await graces.getByRole('link', { name: 'Access' }).click();
  await heading(graces, 'Sessions').waitFor();
  assert.equal(await graces.getByRole('link', { name: 'API tokens' }).count(), 0);
  await examine('access-of-limited', graces);

  await row('grace').getByText('limited to engineering').waitFor();
  await examine('access');
  await button(page, 'Manage grace').click();
  await inDialog(page).getByText('1 open session').waitFor();
  assert.match(page.url(), /\?administrator=grace$/);
  await examine('manage');
  await button(page, 'End all sessions').click();
  await button(page, 'End the sessions').click();
  await inDialog(page).getByText('not signed in').waitFor();
  await heading(graces, 'Sign in again').waitFor();
  await examine('session-ended', graces);

  await button(page, 'Disable account').click();
  await button(page, 'Disable').click();
  await inDialog(page).getByText('disabled').waitFor();
  await graces.getByLabel('Password', { exact: true }).fill('another fine sentence');
  await button(graces, 'Sign in').click();
  await graces.getByRole('alert').waitFor();
  await button(page, 'Enable account').click();
  await button(page, 'Enable').click();
  await inDialog(page).getByText('active').waitFor();

  await button(page, 'Reset whole sign-in').click();
  await examine('reset');
  await button(page, 'Reset the sign-in').click();
  await inDialog(page).getByText('This is the only time it is shown.').waitFor();
  await button(page, 'Done').click();
  await inDialog(page).getByText('not chosen yet').waitFor();
  await button(page, 'Change role and groups').click();
  await inDialog(page).getByLabel('the whole domain').check();
  await button(page, 'Save').click();
  await button(page, 'Remove grace').click();
  await page.getByLabel('Type “grace” to confirm').fill('grace');
  await button(page, 'Remove for good').click();
  await closed();
  await row('grace').waitFor({ state: 'detached' });
  await visitor.close();
});

test('a refusal, Escape and a proof that is asked for lose nothing that was typed', limited, async () => {
  await page.goto('/access/tokens');
  await button(page, 'Create a token').click();
  const name = inDialog(page).getByLabel('Name');
  await name.fill('old');
  await name.press('Enter');
  await inDialog(page).getByText('A token named old already exists or existed.').waitFor();
  assert.equal(await name.getAttribute('aria-invalid'), 'true');
  assert.equal(await name.evaluate((field) => field === document.activeElement), true);
  await examine('refused');
  await name.fill('nightly');
  await page.keyboard.press('Escape');
  await closed();
  assert.equal(await focused(), 'Create a token', 'the keyboard is where it was before');
  await button(page, 'Create a token').click();
  assert.equal(await name.inputValue(), 'nightly');
  await site.admin.db`update administrator_session set proven_at = now() - interval '1 hour'`;
  await name.press('Enter');
  await inDialog(page).getByText('Confirm that it is you.').waitFor();
  await examine('proof');
  await inDialog(page).getByLabel('Your password', { exact: true }).fill(password);
  await page.keyboard.press('Enter');
  await page.getByText('This is the only time it is shown.').waitFor();
  await button(page, 'Done').click();
  await row('nightly').waitFor();
});

test('a wrong code, current password or proof is refused in the form and ends no session', limited, async () => {
  const refused = async (text: RegExp) => {
    await inDialog(page).getByRole('alert').filter({ hasText: text }).waitFor();
    assert.equal(await heading(page, 'Sign in again').count(), 0);
  };
  await page.goto('/you');
  await button(page, 'Add authenticator').click();
  await button(page, 'Begin').click();
  await inDialog(page).getByLabel('Code', { exact: true }).fill('000000');
  await button(page, 'Confirm').click();
  await refused(/code/i);
  await button(page, 'Cancel').click();
  await button(page, 'Change password').click();
  await inDialog(page).getByLabel('Current password', { exact: true }).fill('not the one');
  await inDialog(page).getByLabel('New password', { exact: true }).fill('a fourth fine sentence');
  await page.keyboard.press('Enter');
  await refused(/wrong/);
  await button(page, 'Cancel').click();

  await page.goto('/access/tokens');
  await button(page, 'Create a token').click();
  await inDialog(page).getByLabel('Name').fill('proven');
  await site.admin.db`update administrator_session set proven_at = now() - interval '1 hour'`;
  await page.keyboard.press('Enter');
  const proof = inDialog(page).getByLabel('Your password', { exact: true });
  await proof.fill('not the one');
  await page.keyboard.press('Enter');
  await refused(/wrong/);
  await proof.fill('');
  await proof.fill(password);
  await page.keyboard.press('Enter');
  await page.getByText('This is the only time it is shown.').waitFor();
  await button(page, 'Done').click();
  await row('proven').waitFor();
});

test(
  'a session that ends in the middle of a form takes what it was shown, and leaves what was typed',
  limited,
  async () => {
    await page.goto('/access/tokens');
    await row('nightly').waitFor();
    await button(page, 'Create a token').click();
    await inDialog(page).getByLabel('Name').fill('yearly');
    await site.admin.db`update administrator_session set ended_at = now()`;
    await heading(page, 'Sign in again').waitFor();
    assert.equal(await page.getByText('nightly').count(), 0);
    await page.keyboard.press('Escape');
    await page.keyboard.press('Escape');
    await heading(page, 'Sign in again').waitFor();
    await page.getByLabel('Password', { exact: true }).fill(password);
    await page.keyboard.press('Enter');
    await heading(page, 'Sign in again').waitFor({ state: 'detached' });
    assert.equal(await inDialog(page).getByLabel('Name').inputValue(), 'yearly');
    await button(page, 'Create a token').last().click();
    await page.getByText('This is the only time it is shown.').waitFor();
    await button(page, 'Done').click();
    await row('nightly').waitFor();
  },
);

test('who owes a second factor sets one up before anything else', limited, async () => {
  await site.admin.call('PUT', '/second-factor', { everybody: false, roles: ['junior-helpdesk'] });
  const { body } = await site.admin.call('POST', '/administrators', { name: 'barbara', role: 'junior-helpdesk' });
  await page.goto('/access');
  await page.getByText('Still to be set up by barbara.').waitFor();
  await button(page, 'Change second factor').click();
  await inDialog(page).getByLabel('junior-helpdesk').waitFor();
  await examine('second-factor-rule');
  await button(page, 'Cancel').click();

  const visitor = await site.newVisitor();
  const barbaras = await visitor.newPage();
  await barbaras.goto(`${site.url}/#code=${(body as { code: string }).code}`);
  await barbaras.getByLabel('Password', { exact: true }).fill('a third fine sentence');
  await button(barbaras, 'Sign in').click();
  await heading(barbaras, 'Set up a second factor').waitFor();
  await examine('second-factor-owed', barbaras);
  await button(barbaras, 'Set up an authenticator').click();
  await button(barbaras, 'Begin').click();
  const secret = (await inDialog(barbaras).locator('code').textContent()) ?? '';
  const code = new TOTP({ secret: Secret.fromBase32(secret) }).generate();
  await barbaras.getByLabel('Code', { exact: true }).fill(code);
  await button(barbaras, 'Confirm').click();
  await button(barbaras, 'I have saved them').click();
  await heading(barbaras, 'Example').waitFor();
  await visitor.close();
});

test('a provider is added, tested, and signed in at; what gives access asks there once more', limited, async () => {
  const provider = await startOpenidProvider([`${site.url}/sign-in/openid/staff`]);
  await page.goto('/access/providers');
  await page.getByText('There are none: everybody signs in by password or passkey.').waitFor();
  await button(page, 'Add a provider').click();
  const form = inDialog(page);
  for (const [label, value] of [
    ...[['Name on the sign-in page', 'Staff'] as const, ['Short name', 'staff'] as const],
    ...[['Issuer', provider.issuer] as const, ['Client ID', 'bramble'] as const],
    ...[['Client secret', clientSecret] as const, ['Certificate authority (PEM)', provider.caPem] as const],
    ['Value of the claim', 'admins'] as const,
  ]) {
    await form.getByLabel(label, { exact: true }).fill(value);
  }
  await form.getByLabel('Role').selectOption('security');
  await examine('new-provider');
  await button(page, 'Add a provider').last().click();
  await page.getByText(`${site.url}/sign-in/openid/staff`).waitFor();
  await button(page, 'Test the connection').click();
  await inDialog(page).getByRole('status').first().waitFor();
  await examine('provider');
  await button(page, 'Close').click();
  await row('Staff').getByText('enabled').waitFor();

  provider.person = { sub: 'edsger', claims: { preferred_username: 'edsger', groups: ['admins'] } };
  const visitor = await site.newVisitor(provider.issuer);
  const edsgers = await visitor.newPage();
  await edsgers.goto('/access/tokens');
  await button(edsgers, 'Sign in with Staff').waitFor();
  await examine('sign-in-with-provider', edsgers);
  await button(edsgers, 'Sign in with Staff').click();
  await row('nightly', edsgers).waitFor();
  assert.equal(new URL(edsgers.url()).pathname, '/access/tokens');
  await button(edsgers, 'Create a token').click();
  await inDialog(edsgers).getByLabel('Name').fill('of-edsger');
  await site.admin.db`update administrator_session set proven_at = now() - interval '1 hour'`;
  await button(edsgers, 'Create a token').last().click();
  const [other] = await Promise.all([
    visitor.waitForEvent('page'),
    button(edsgers, 'Confirm at your identity provider').click(),
  ]);
  await heading(other, 'Example').waitFor();
  await other.close();
  await button(edsgers, 'Create a token').last().click();
  await edsgers.getByText('This is the only time it is shown.').waitFor();
  await button(edsgers, 'Done').click();
  await edsgers.goto('/you');
  await edsgers.getByText('You sign in at staff').waitFor();
  await visitor.close();

  provider.person = { sub: 'nobody', claims: { preferred_username: 'nobody', groups: [] } };
  const refused = await (await site.newVisitor(provider.issuer)).newPage();
  await refused.goto('/');
  await button(refused, 'Sign in with Staff').click();
  await heading(refused, 'You were not signed in').waitFor();
  assert.equal(refused.url(), `${site.url}/`);
  await examine('refused-by-provider', refused);
  await refused.context().close();
});

/** From now on `/me` says so. */
async function serveOtherRelease(): Promise<void> {
  await page.route('**/api/v1/me', async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: { ...(await response.json()), release: '99.0.0' } });
  });
  await page.getByText('Release 99.0.0 administers the domain now.').waitFor();
}

test('the page of a new release waits until the form in use is sent or given up', limited, async () => {
  await page.goto('/access/tokens');
  await button(page, 'Create a token').click();
  await inDialog(page).getByLabel('Name').fill('monthly');
  await serveOtherRelease();
  assert.equal(await inDialog(page).getByLabel('Name').inputValue(), 'monthly');
  await Promise.all([page.waitForEvent('load'), button(page, 'Cancel').click()]);
  await page.unroute('**/api/v1/me');
  await row('nightly').waitFor();
});

test('what is shown only once is not taken away by the page of a new release', limited, async () => {
  await page.goto('/access/tokens');
  await button(page, 'Create a token').click();
  await inDialog(page).getByLabel('Name').fill('quarterly');
  await site.admin.db`update administrator_session set proven_at = now()`;
  await serveOtherRelease();
  await button(page, 'Create a token').last().click();
  await page.getByText('This is the only time it is shown.').waitFor();
  await page.waitForResponse('**/api/v1/me');
  await page.waitForResponse('**/api/v1/me');
  assert.equal(await page.getByText('This is the only time it is shown.').count(), 1);
  await Promise.all([page.waitForEvent('load'), button(page, 'Done').click()]);
  await page.unroute('**/api/v1/me');
  await row('quarterly').waitFor();
});

test('rows are gone through by j and k, and a session is ended by keyboard alone', limited, async () => {
  await page.goto('/access/tokens');
  await button(page, 'Revoke the token first').focus();
  await page.keyboard.press('j');
  assert.equal(await focused(), 'Revoke the token nightly');
  await page.keyboard.press('k');
  assert.equal(await focused(), 'Revoke the token first');
  await page.goto('/access/sessions');
  await page.getByText('this browser').waitFor();
  await examine('sessions');
  await button(page, 'End the session of ada').first().focus();
  await page.keyboard.press('Enter');
  await button(page, 'End the session').focus();
  await page.keyboard.press('Enter');
  await heading(page, 'Sign in').waitFor();
});

test('nothing was asked of another host, no policy was violated, and no page failed', limited, () => {
  assert.deepEqual(site.reports, []);
});

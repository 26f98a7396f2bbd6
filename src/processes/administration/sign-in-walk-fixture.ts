/** For tests: every operation of sign-in and of administrators, carried out once, as browsers and programs do it. */
import assert from 'node:assert/strict';
import { Secret, TOTP } from 'otpauth';
import { newAuthenticator } from '../../testing/authenticator.ts';
import { openBrowser } from '../../testing/browser-session.ts';
import type { AdministrationFixture } from './administration-fixture.ts';

interface Walk {
  readonly admin: AdministrationFixture;
  /** Operations that were carried out. */
  readonly walked: Set<string>;
  /** With the token, each recorded once. */
  call(operation: string, path: string, body?: unknown): Promise<Record<string, string>>;
  /** Notes what must stand nowhere. */
  secret(text: string | undefined): string;
}

/** Administrators, and what they do in their own browsers. */
export async function walkSignIn(walk: Walk): Promise<void> {
  const { admin, walked, call, secret } = walk;
  const browser = openBrowser(admin.url);
  const walkInBrowser = async (operation: string, path: string, body?: unknown) => {
    walked.add(operation);
    const { status } = await browser.call(operation.split(' ')[0] ?? '', path, body);
    assert.ok(status === 200 || status === 204, `${operation}: ${status}`);
    for (const [name, value] of browser.cookies) if (name.endsWith('-session')) secret(value);
  };
  const password = secret('seven wet otters 77');
  const { code } = await call('POST /first-administrator', '/first-administrator');
  await walkInBrowser('POST /sign-in/code', '/sign-in/code', { code: secret(code), name: 'Eve', password });
  await walkInBrowser('POST /sign-in', '/sign-in', { name: 'Eve', password });
  await walkInBrowser('POST /session/proof', '/session/proof', { password });
  const next = { current: password, password: secret('nine dry weasels 88') };
  await walkInBrowser('PUT /me/password', '/me/password', next);
  const { body } = await browser.call('POST', '/me/totp');
  walked.add('POST /me/totp');
  const totp = new TOTP({ secret: Secret.fromBase32(secret((body as { secret: string }).secret)) });
  await walkInBrowser('POST /me/totp/confirm', '/me/totp/confirm', { code: totp.generate() });
  const renewed = await browser.call('POST', '/me/recovery-codes');
  walked.add('POST /me/recovery-codes');
  const [recovery] = (renewed.body as { recoveryCodes: string[] }).recoveryCodes;
  await walkInBrowser('POST /sign-in', '/sign-in', { name: 'Eve', password: next.password });
  await walkInBrowser('POST /sign-in/totp', '/sign-in/totp', { code: secret(recovery) });
  await walkInBrowser('DELETE /me/totp', '/me/totp');
  await walkPasskeys(walk, browser.cookies);
  await walkInBrowser('DELETE /session', '/session');
  const grace = { name: 'grace', role: 'enterprise' };
  secret((await call('POST /administrators', '/administrators', grace))['code']);
  await call('PATCH /administrators/{name}', '/administrators/grace', { role: 'security', groups: [] });
  secret((await call('POST /administrators/{name}/reset', '/administrators/grace/reset'))['code']);
  secret((await call('POST /administrators/{name}/reset-password', '/administrators/grace/reset-password'))['code']);
  await call('DELETE /administrators/{name}/totp', '/administrators/grace/totp');
  await call('DELETE /administrators/{name}/passkeys', '/administrators/grace/passkeys');
  await call('DELETE /administrators/{name}/sessions', '/administrators/grace/sessions');
  await call('POST /administrators/{name}/disable', '/administrators/grace/disable');
  await call('POST /administrators/{name}/enable', '/administrators/grace/enable');
  await call('DELETE /administrators/{name}', '/administrators/grace');
  await walkInBrowser('POST /sign-in', '/sign-in', { name: 'Eve', password: next.password });
  const [open] = await admin.db<{ id: string }[]>`select id from administrator_session where ended_at is null`;
  await call('DELETE /sessions/{id}', `/sessions/${open?.id}`);
  await call('PUT /second-factor', '/second-factor', { roles: [] });
}

async function walkPasskeys({ admin, walked }: Walk, cookies: Map<string, string>): Promise<void> {
  const origin = admin.url.replace('127.0.0.1', 'localhost');
  const browser = openBrowser(origin, new Map(cookies));
  const key = newAuthenticator(origin);
  const ask = async (operation: string, path: string, body?: unknown) => {
    walked.add(operation);
    const answer = await browser.call(operation.split(' ')[0] ?? '', path, body);
    assert.ok(answer.status < 300, `${operation}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body as { id: string; challenge: string };
  };
  const challenge = async (of: string) => ((await browser.call('POST', of)).body as { challenge: string }).challenge;
  const credential = key.make(await challenge('/me/passkeys/options'));
  const { id } = await ask('POST /me/passkeys', '/me/passkeys', { name: 'laptop', credential });
  await ask(
    'POST /session/proof/passkey',
    '/session/proof/passkey',
    key.sign(await challenge('/sign-in/passkey/options')),
  );
  await ask('POST /sign-in/passkey', '/sign-in/passkey', key.sign(await challenge('/sign-in/passkey/options')));
  await ask('DELETE /me/passkeys/{id}', `/me/passkeys/${id}`);
  for (const [name, value] of browser.cookies) cookies.set(name, value);
}

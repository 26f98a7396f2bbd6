/**
 * Clients that others wrote, against an instance: micromdm's scepclient, strongSwan's `pki` and openssl. Each enrols, gets the
 * same certificate again and renews it, and openssl believes profiles and answers without being told to overlook purposes.
 * A program that is not on this machine is skipped, or fails its test where it must be there; nothing is installed here.
 */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { accountOperations } from '../../../src/api/accounts.ts';
import { parseEnrollmentProfile } from '../../../src/protocol/apple/enrollment-profile.ts';
import { readSignedData } from '../../../src/protocol/cms/signed-data.ts';
import { createRsaKeyPair } from '../../../src/protocol/x509/key-pair.ts';
import { areClientsRequired, lacks } from '../../../src/testing/clients.ts';
import type { RunningDomain } from '../../harness/domain.ts';
import { askActivation, askCertificate, newPassword, sendRaw } from '../../harness/raw-device.ts';
import type { QuietDomain } from './stage.ts';

const run = promisify(execFile);
const limited = { timeout: 120_000 };
const programTimeoutMs = 60_000;

/** strongSwan speaks HTTP only with its curl plugin. */
function lacksStrongSwan(): string | false {
  const missing = lacks('pki');
  if (missing !== false || areClientsRequired) return missing;
  const { stdout, stderr } = spawnSync('pki', ['--version'], { encoding: 'utf8' });
  return /loaded plugins:.*\bcurl\b/.test(stdout + stderr) ? false : 'pki is without its curl plugin';
}

export function describeIndependentClients(stage: QuietDomain): void {
  describe('independent clients', () => {
    let domain: RunningDomain;
    let folder: string;
    let instanceUrl: string;
    const at = (name: string) => join(folder, name);
    const program = (name: string, args: string[]) => run(name, args, { timeout: programTimeoutMs });

    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'bramble-clients-'));
      domain = stage.domain;
      const [instance] = await domain.sql`select loopback_url as url from component where name = 'server-1'`;
      instanceUrl = String(instance?.['url']);
    });
    after(async () => await rm(folder, { recursive: true, force: true }));

    /** A SCEP address that is open for one key, on the instance's loopback port: these clients trust no authority of ours. */
    async function offer(account: string) {
      await domain.api.call(accountOperations.create, { body: { name: account, instance: 'server-1' } });
      const profile = await askActivation(domain, account, await newPassword(domain, account));
      assert.equal(profile.status, 200, profile.body.toString());
      const facts = parseEnrollmentProfile(profile.body);
      assert.ok(facts.challenge !== undefined);
      return { facts, challenge: facts.challenge, url: `${instanceUrl}${new URL(facts.scepUrl).pathname}` };
    }

    const certificateAt = async (name: string) => new X509Certificate(await readFile(at(name)));

    test('scepclient enrols, gets the same certificate again, and renews', {
      ...limited,
      skip: lacks('scepclient'),
    }, async () => {
      const { url, challenge, facts } = await offer('scepclient');
      // Up to 2.3 it encrypts with single DES, whatever the server says; later ones may be told otherwise.
      const { stdout, stderr } = spawnSync('scepclient', ['-help'], { encoding: 'utf8' });
      const aes = /-encryption-algorithm\b/.test(stdout + stderr) ? ['-encryption-algorithm', 'aes128'] : undefined;
      const ask = (certificate: string) =>
        program('scepclient', [
          ...['-server-url', url, '-challenge', challenge, '-cn', 'device'],
          ...['-private-key', at('go.key'), '-certificate', at(certificate), ...(aes ?? [])],
        ]);
      if (aes === undefined) {
        await assert.rejects(ask('go-1.pem'), (error: { stdout?: string }) => /badAlg/.test(error.stdout ?? ''));
        return;
      }
      await ask('go-1.pem');
      const first = await certificateAt('go-1.pem');
      assert.ok(first.verify(new X509Certificate(facts.authorityCertificatesDer[1] ?? Buffer.alloc(0)).publicKey));
      await ask('go-2.pem');
      assert.equal(
        (await certificateAt('go-2.pem')).fingerprint256,
        first.fingerprint256,
        'the same certificate again',
      );
      // With a certificate at hand it sends a RenewalReq, signed by that.
      await ask('go-1.pem');
      const renewed = await certificateAt('go-1.pem');
      assert.notEqual(renewed.serialNumber, first.serialNumber);
      assert.equal(renewed.subject, first.subject);
    });

    for (const [cipher, digest] of [
      ['aes', 'sha256'],
      ['aes', 'sha512'],
      ['des3', 'sha1'],
    ] as const) {
      const title = `strongSwan enrols under ${cipher} and ${digest}, gets the same certificate again, and renews`;
      test(title, { ...limited, skip: lacksStrongSwan() }, async () => {
        const { url, challenge, facts } = await offer(`strongswan-${cipher}-${digest}`);
        const name = (what: string) => at(`${cipher}-${digest}-${what}`);
        await program('pki', ['--scepca', '--url', url, '--caout', name('ca.der'), '--raout', name('ra.der')]);
        assert.deepEqual(
          await readFile(name('ca.der')),
          Buffer.from(facts.authorityCertificatesDer[1] ?? Buffer.alloc(0)),
        );
        const ra = new X509Certificate(await readFile(name('ra.der')));
        assert.equal(ra.ca, false);
        const keys = [name('key-1'), name('key-2')];
        for (const key of keys) {
          const { stdout } = await run('pki', ['--gen', '--type', 'rsa', '--size', '2048'], {
            encoding: 'buffer',
            timeout: programTimeoutMs,
          });
          await writeFile(key, stdout, { mode: 0o600 });
        }
        const ask = async (out: string, ...args: string[]) => {
          const { stdout } = await run(
            'pki',
            [
              ...['--scep', '--url', url, '--dn', 'CN=device', '--cipher', cipher, '--digest', digest],
              ...['--cacert-enc', name('ra.der'), '--cacert-sig', name('ra.der'), '--cacert', name('ca.der'), ...args],
            ],
            { encoding: 'buffer', timeout: programTimeoutMs },
          );
          await writeFile(name(out), stdout);
          return new X509Certificate(stdout);
        };
        const [oldKey = '', newKey = ''] = keys;
        const first = await ask('certificate', '--in', oldKey, '--password', challenge);
        const again = await ask('again', '--in', oldKey, '--password', challenge);
        assert.equal(again.fingerprint256, first.fingerprint256, 'the same certificate again');
        const renewed = await ask('renewed', '--in', newKey, '--cert', name('certificate'), '--key', oldKey);
        assert.notEqual(renewed.serialNumber, first.serialNumber);
        assert.equal(renewed.subject, first.subject);
        assert.ok(renewed.checkIssued(new X509Certificate(await readFile(name('ca.der')))));
      });
    }

    test('openssl believes a signed profile and a SCEP answer, with its own idea of purposes', {
      ...limited,
      skip: lacks('openssl'),
    }, async () => {
      await offer('openssl');
      const password = await newPassword(domain, 'openssl');
      const profile = await sendRaw(`${domain.publicUrl}/activate`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ account: 'openssl', password, signed: '1' }).toString(),
      });
      const facts = parseEnrollmentProfile(profile.body);
      const [, device] = facts.authorityCertificatesDer.map((der) => new X509Certificate(der).toString());
      await writeFile(at('device.pem'), String(device));
      const issued = await askCertificate(facts.scepUrl, {
        keyPair: await createRsaKeyPair(),
        challenge: facts.challenge,
      });
      for (const [name, message] of Object.entries({ profile, answer: issued.answer })) {
        assert.equal(message.status, 200);
        await writeFile(at(name), message.body);
        const verify = ['cms', '-verify', '-binary', '-inform', 'DER', '-in', at(name), '-CAfile', at('device.pem')];
        await program('openssl', [...verify, '-out', at(`${name}.content`)]);
        assert.deepEqual(
          await readFile(at(`${name}.content`)),
          Buffer.from(readSignedData(message.body).content ?? []),
        );
      }
      assert.ok(issued.certificateDer !== undefined);
      await writeFile(at('identity.pem'), new X509Certificate(issued.certificateDer).toString());
      await program('openssl', [
        'verify',
        '-x509_strict',
        '-purpose',
        'sslclient',
        '-CAfile',
        at('device.pem'),
        at('identity.pem'),
      ]);
    });
  });
}

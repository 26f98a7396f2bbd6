/** A router while the domain authority is replaced: whom it lets link, whose lists it takes, and what devices are shown. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, test } from 'node:test';
import { connect } from 'node:tls';
import { createTestAuthority, issueTestCredential, type TestAuthority } from '../../link/link-fixture.ts';
import { linkProtocol, maxBodyBytes, type SignedEnvelope } from '../../link/messages.ts';
import { signEnvelope } from '../../link/signed-envelope.ts';
import {
  authorityFingerprint,
  certificatesIn,
  pemOf,
  statementMessages,
  type TrustStatement,
  trustFrom,
  trustStatementsShape,
} from '../../link/trusted-authorities.ts';
import { certifySuccessor } from '../../protocol/x509/certificate.ts';
import { until } from '../../testing/condition.ts';
import { ask, createStage, newToken, nextUp } from './router-fixture.ts';

const limited = { timeout: 60_000 };
const stage = await createStage();
after(() => stage.close());
const { domain: former } = stage;
const [next, stranger] = [await createTestAuthority('Next'), await createTestAuthority('Stranger')];

const derOf = ({ certificatePem }: TestAuthority): Buffer => Buffer.from(new X509Certificate(certificatePem).raw);
const bridge = certifySuccessor(
  { certificateDer: derOf(former), privateKeyPem: former.key.export({ type: 'pkcs8', format: 'pem' }).toString() },
  derOf(next),
);
const says = (signer: TestAuthority, number: number, names: TestAuthority[], issues: TestAuthority): SignedEnvelope => {
  const statement: TrustStatement = {
    ...{ purpose: 'trusted domain authorities', number, bridges: [bridge.toString('base64')] },
    ...{ trusted: names.map((each) => derOf(each).toString('base64')) },
    issues: authorityFingerprint(derOf(issues)),
  };
  return signEnvelope(statement, signer.key);
};
const begun = says(former, 1, [former, next], former);
const switched = says(former, 2, [next, former], next);
const retired = says(next, 3, [next], next);
const fingerprints = (...authorities: TestAuthority[]) => authorities.map((each) => authorityFingerprint(derOf(each)));
const trusted = (roots: TestAuthority[], statements: SignedEnvelope[]) =>
  trustFrom(roots.map(derOf), statements).authorities.map(authorityFingerprint);

test('however often the authority was replaced, who knows the first one comes to the last', () => {
  const numbers = Array.from({ length: 99 }, (_, at) => at + 3);
  const all = [begun, switched, ...numbers.map((number) => says(next, number, [next], next))];
  const messages = statementMessages(all);
  for (const message of messages) {
    assert.deepEqual(trustStatementsShape.parse(JSON.parse(JSON.stringify(message))), message);
    assert.ok(JSON.stringify(message).length < maxBodyBytes);
  }
  const received = messages.flatMap(({ statements }) => statements);
  assert.deepEqual(received, all);
  assert.equal(trustFrom([derOf(former)], received).number, 101);
});

test('statements lead from any authority to the last one, and only what a trusted one signed counts', () => {
  const all = [begun, switched, retired];
  for (const roots of [[former], [former, next], [next]]) assert.deepEqual(trusted(roots, all), fingerprints(next));
  assert.deepEqual(trusted([former], [begun]), fingerprints(former, next));
  assert.deepEqual(
    trusted([former], [retired]),
    fingerprints(former),
    'it was not said whom that is to be believed from',
  );
  assert.deepEqual(trusted([stranger], all), fingerprints(stranger));
  assert.deepEqual(trusted([former], [says(stranger, 9, [stranger], stranger)]), fingerprints(former));
  assert.deepEqual(trusted([former], [begun, says(former, 1, [former], former)]), fingerprints(former, next), 'outrun');
  assert.deepEqual(
    trusted([former], [...all, says(former, 9, [former], former)]),
    fingerprints(next),
    'retired is retired',
  );
});

/** A holder's link by a credential of this authority, with the bridge behind it. */
async function dialBy(authority: TestAuthority, identifier: string) {
  const credential = await issueTestCredential(authority, identifier, stage.srpPort);
  const certificatePem = pemOf([...certificatesIn(credential.certificatePem), bridge]);
  const both = `${former.certificatePem}\n${next.certificatePem}`;
  return await stage.dial(identifier, {
    credential: () => ({ ...credential, certificatePem, domainAuthorityPem: both }),
  });
}

const isLinked = (identifier: string) => stage.router.links.standing(identifier) !== undefined;

test(
  'a credential of the successor is accepted by its bridge, by a router that was told nothing',
  limited,
  async () => {
    await nextUp(await dialBy(former, 'S10000001'));
    await nextUp(await dialBy(next, 'S10000002'));
    assert.ok(isLinked('S10000001') && isLinked('S10000002'));
  },
);

test('a list of the successor is taken once it is trusted', limited, async () => {
  const expiresAt = new Date(Date.now() + 60_000).toISOString();
  const list = (number: number, serial: string) => ({
    ...{ number, cleared: [] },
    revoked: [{ serial, identifier: 'S10000003', expiresAt }],
  });
  const third = await dialBy(former, 'S10000003');
  await nextUp(third);
  const serial = stage.router.links.standing('S10000003')?.serial ?? '';
  stage.push(list(5, serial), next.key);
  stage.push(list(4, 'aa'), former.key);
  // Streams keep their order: what came before the second one was refused.
  stage.say([says(stranger, 7, [stranger], stranger)]);
  stage.say([begun]);
  stage.push(list(5, serial), next.key);
  await until('its link is closed', 30_000, async () => !isLinked('S10000003'));
  await third.close(100);
});

test(
  'devices are shown a certificate of the successor, and follow the bridge if they know only the former',
  limited,
  async () => {
    const token = newToken();
    const identity = await next.issue('router', ['router.test', 'tunnel.test']);
    stage.router.renewCertificate({
      ...{ privateKeyPem: identity.privateKeyPem, domainAuthorityPem: former.certificatePem },
      certificatePem: pemOf([...certificatesIn(identity.certificatePem), bridge]),
    });
    for (const ca of [former.certificatePem, next.certificatePem]) {
      assert.equal((await ask(stage, `/mdm/${token}/connect`, { ca })).status, 400);
    }
    await assert.rejects(ask(stage, `/mdm/${token}/connect`, { ca: stranger.certificatePem }));
  },
);

test(
  'once the former is retired its links are closed and its credentials refused, also after a restart',
  limited,
  async () => {
    stage.say([begun, switched, retired]);
    await until('the link by the former is closed', 30_000, async () => !isLinked('S10000001'));
    assert.ok(isLinked('S10000002'));
    stage.say([begun]);
    await stage.restart();
    await nextUp(await dialBy(next, 'S10000004'));
    const { certificatePem, privateKeyPem } = await issueTestCredential(former, 'S10000005', stage.srpPort);
    const socket = connect({
      ...{ port: stage.srpPort, servername: 'router.test', ca: former.certificatePem, ALPNProtocols: [linkProtocol] },
      ...{ cert: certificatePem, key: privateKeyPem },
    });
    let heard = 0;
    socket.on('data', (chunk: Buffer) => {
      heard += chunk.length;
    });
    socket.on('error', () => undefined);
    await new Promise((resolve) => socket.once('close', resolve));
    assert.equal(heard, 0, 'the router did not even ask who is there');
  },
);

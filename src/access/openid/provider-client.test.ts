/** A provider that does not answer keeps nobody waiting without end, and nobody takes all the places. */
import assert from 'node:assert/strict';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { createNameLookups } from '../../base/name-lookups.ts';
import { createLoopbackCertificate } from '../../simulator/loopback-certificate.ts';
import { createProviderClient } from './provider-client.ts';

const { keyPem, certificatePem, caPem } = await createLoopbackCertificate('silent');
let asked = 0;
const silent = createServer({ key: keyPem, cert: certificatePem }, () => {
  asked += 1;
});
await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
after(() => {
  silent.close();
  silent.closeAllConnections();
});

const provider = {
  ...{ name: 'silent', issuer: `https://localhost:${(silent.address() as AddressInfo).port}`, clientId: 'x', caPem },
  ...{ scopes: [], claim: 'groups', nameClaim: 'name', revision: 1, clientSecret: null },
};
const ties = { state: 's', nonce: 'n', verifier: 'v' };

test('a network has eight places, and what one asks is asked once for all of them', async () => {
  const client = createProviderClient({ names: createNameLookups(), timeoutMs: 500, nowMs: () => 0 });
  const begin = async (sender: string): Promise<unknown> =>
    await client
      .address(provider, { ...ties, redirectUri: 'https://console.example/x', fresh: false, sender })
      .catch((error: { code?: unknown }) => error.code);
  const ours = Array.from({ length: 8 }, () => begin('192.0.2.7'));
  assert.equal(await begin('192.0.2.7'), 'ERR_BUSY');
  const others = begin('198.51.100.9');
  assert.deepEqual([...new Set(await Promise.all([...ours, others]))], ['ERR_OPENID_PROVIDER']);
  // What failed is not asked for again at once.
  assert.equal(await begin('192.0.2.7'), 'ERR_OPENID_PROVIDER');
  assert.ok(asked <= 1, String(asked));
});

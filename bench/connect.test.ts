import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { type BenchDevice, benchConnect, connectRequest, driveConnects } from './connect.ts';

const device: BenchDevice = {
  udid: 'UDID-1',
  serverUrl: 'https://domain.test:8443/mdm/token/connect',
  certificate: Buffer.from('certificate').toString('base64'),
  idleBody: Buffer.from('<plist/>').toString('base64'),
  idleSignature: 'c2lnbmF0dXJl',
};

test('the driver counts what a server answers, whole, chunked or cut off', async (context) => {
  let requests = 0;
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      requests += 1;
      assert.equal(request.headers['client-cert'], `:${device.certificate}:`);
      if (requests % 5 === 1) response.end('a command');
      else if (requests % 5 === 2) response.write('chunk', () => response.end('ed'));
      else if (requests % 5 === 3) response.writeHead(503, { 'content-length': 0 }).end();
      else if (requests % 5 === 4) request.socket.destroy();
      else response.writeHead(204).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  context.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const result = await driveConnects({
    requests: [connectRequest(device, 'host', 'header')],
    target: { host: '127.0.0.1', port, tls: false },
    connections: 2,
    durationMs: 300,
  });
  assert.deepEqual(Object.keys(result.statuses).sort(), ['200', '204', '503']);
  assert.ok(result.withBody > 0 && result.broken > 0);
});

test('a report holds the server under test against the bare one', async (context) => {
  const paths = new Set<string | undefined>();
  const server = createServer((request, response) => {
    assert.equal(request.headers['mdm-signature'], device.idleSignature);
    paths.add(request.url);
    const status = request.url === '/refuse' ? 401 : 200;
    request.resume().on('end', () => response.writeHead(status, { 'content-length': 0 }).end());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  context.after(() => server.close());
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const bench = (path: string) =>
    benchConnect({
      target: new URL(path, origin),
      devices: [device],
      identity: 'signature',
      connections: 2,
      durationMs: 100,
    });
  const report = await bench('/');
  assert.deepEqual(Object.keys(report.target.statuses), ['200']);
  assert.deepEqual(Object.keys(report.reference.statuses), ['200']);
  assert.ok(report.ratio > 0);
  await bench('/mdm?of=another+server');
  assert.deepEqual([...paths], ['/mdm/token/connect', '/mdm?of=another+server']);
  await assert.rejects(bench('/refuse'), /the figure does not count.*"401"/);
});

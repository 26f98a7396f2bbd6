import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  addressAs,
  addressOfDatabase,
  addressWithoutCredential,
  passwordIn,
  readDatabaseAddress,
} from './database-address.ts';

const several = 'postgres://ada:p%40ss@db1.test,[2001:db8::1]:5433,10.0.0.3/bramble';

test('an address names hosts, each with its port, and of several the one that takes writes', () => {
  const { hosts, target, tls } = readDatabaseAddress(several);
  assert.deepEqual(hosts, [
    { name: 'db1.test', port: 5432 },
    { name: '2001:db8::1', port: 5433 },
    { name: '10.0.0.3', port: 5432 },
  ]);
  assert.equal(target, 'read-write');
  assert.deepEqual(tls, { use: 'never', verify: 'nothing', authorityFile: undefined });
  assert.equal(readDatabaseAddress('postgresql://ada@db1.test:1/bramble').target, 'any');
  assert.equal(readDatabaseAddress(`${several}?target_session_attrs=primary`).target, 'primary');
  assert.deepEqual(readDatabaseAddress('postgres://ada@%2Frun%2Fpg:5433/x').hosts, [{ name: '/run/pg', port: 5433 }]);
  assert.deepEqual(readDatabaseAddress('postgres:///bramble').hosts, []);
});

test('the driver is given one host, and nothing of what it would misunderstand', () => {
  const url = `${several}?sslmode=verify-ca&sslrootcert=/ca.pem&target_session_attrs=any&search_path=own`;
  assert.equal(readDatabaseAddress(url).plainUrl, 'postgres://ada:p%40ss@localhost:5432/bramble?search_path=own');
  assert.equal(readDatabaseAddress('postgres://ada@/x?sslmode=require').plainUrl, 'postgres://ada@/x');
});

test('sslmode says whether TLS is used and what the server proves, never less than it asks for', () => {
  const tlsOf = (query: string) => {
    const { use, verify, authorityFile } = readDatabaseAddress(`postgres://ada@db1.test/x?${query}`).tls;
    return [use, verify, authorityFile];
  };
  assert.deepEqual(tlsOf('sslmode=disable'), ['never', 'nothing', undefined]);
  assert.deepEqual(tlsOf('sslmode=prefer'), ['optional', 'nothing', undefined]);
  assert.deepEqual(tlsOf('sslmode=require'), ['always', 'nothing', undefined]);
  assert.deepEqual(tlsOf('sslmode=require&sslrootcert=/ca.pem'), ['always', 'authority', '/ca.pem']);
  assert.deepEqual(tlsOf('sslmode=verify-ca&sslrootcert=/ca.pem'), ['always', 'authority', '/ca.pem']);
  assert.deepEqual(tlsOf('sslmode=verify-full&sslrootcert=/ca.pem'), ['always', 'name', '/ca.pem']);
  assert.deepEqual(tlsOf('sslmode=verify-ca'), ['always', 'name', undefined], 'any authority of the system would do');
  assert.deepEqual(tlsOf('sslrootcert=system'), ['always', 'name', undefined]);
  assert.deepEqual(tlsOf('ssl=true'), ['always', 'name', undefined]);
});

test('what cannot be done as it is written is refused, and the password is not shown', () => {
  const cases: [string, RegExp][] = [
    ['mysql://ada@db1.test/x', /form postgres:/],
    ['postgres://ada:pa/ss@db1.test/x', /percent-encoding/],
    ['postgres://ada:secret@db1.test,/x', /hosts/],
    ['postgres://ada:secret@db1.test:70000/x', /hosts/],
    ['postgres://ada:secret@db%zz/x', /hosts/],
    ['postgres://ada:secret@db1.test/x?sslmode=verify', /sslmode is "verify"/],
    ['postgres://ada:secret@db1.test/x?sslmode=verify-full&sslrootcert=ca.pem', /whole path/],
    ['postgres://ada:secret@db1.test/x?sslmode=prefer&sslrootcert=/ca.pem', /verify-full/],
    ['postgres://ada:secret@db1.test/x?sslmode=require&sslrootcert=system', /verify-full/],
    ['postgres://ada:secret@db1.test/x?sslcert=/c.pem', /sslcert/],
    ['postgres://ada:secret@db1.test,db2.test/x?target_session_attrs=standby', /every process writes/],
  ];
  for (const [url, message] of cases) {
    assert.throws(
      () => readDatabaseAddress(url),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, 'ERR_DATABASE_ADDRESS');
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /secret|pa\/ss|ada/);
        return true;
      },
    );
  }
});

test('user, database and hosts are exchanged and shown without touching the rest', () => {
  const url = `${several}?sslmode=require`;
  const other = 'postgres://bea:a%3Ab%40@db1.test,[2001:db8::1]:5433,10.0.0.3/bramble?sslmode=require';
  assert.equal(addressAs(url, 'bea', 'a:b@'), other);
  assert.equal(passwordIn(other), 'a:b@');
  assert.equal(passwordIn('postgres://ada@db1.test/x'), '');
  assert.equal(addressOfDatabase(url, 'other'), several.replace('/bramble', '/other?sslmode=require'));
  assert.equal(addressWithoutCredential(url), 'db1.test,[2001:db8::1]:5433,10.0.0.3/bramble');
  assert.equal(addressWithoutCredential('postgres://ada:x@127.0.0.1:5432/x'), '127.0.0.1:5432/x');
});

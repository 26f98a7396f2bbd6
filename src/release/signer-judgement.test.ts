import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatRotation, formatSignature, parseSignature } from './signature.ts';
import { type TestSigner, testSigner } from './signed-archive-fixture.ts';
import { inGroups } from './signer-fingerprint.ts';
import { type Acceptance, judgementText, judgeSigner, type KnownSigner, noSigner } from './signer-judgement.ts';

const [ada, bea, cyd] = [testSigner(), testSigner(), testSigner()];
const manifestSha256 = 'ab'.repeat(32);
const release = '1.2.1';
const unsigned = { release, manifestSha256, signature: null };
const knows = (signer: TestSigner): KnownSigner => ({ ...noSigner, fingerprint: signer.fingerprint });
const signed = (signer: TestSigner, ...rotations: string[]) => {
  const text = formatSignature({ release, archive: manifestSha256, manifest: manifestSha256 }, signer);
  return { ...unsigned, signature: parseSignature(Buffer.from([text, ...rotations].join('\n'))) };
};
/** Trusts the first again, after it had followed another. */
const left = (signer: TestSigner): KnownSigner => ({ ...knows(ada), refused: [signer.fingerprint] });
const by = (signer: TestSigner): Acceptance => ({ signer: signer.fingerprint });

test('trust at first use, then the same signer, the one it names, or what an operator takes by name', () => {
  const follows = formatRotation(bea.fingerprint, ada);
  const cases: [
    string,
    ReturnType<typeof judgeSigner>['kind'] | 'ERR_RELEASE_SIGNER' | 'ERR_INPUT',
    Parameters<typeof judgeSigner>,
  ][] = [
    ['nobody seen, unsigned', 'unsigned', [unsigned, noSigner]],
    ['nobody seen, signed', 'first', [signed(ada), noSigner]],
    ['nobody seen, the named one', 'accepted', [signed(ada), noSigner, by(ada)]],
    ['nobody seen, another than named', 'ERR_RELEASE_SIGNER', [signed(bea), noSigner, by(ada)]],
    ['nobody seen, unsigned where one is named', 'ERR_RELEASE_SIGNER', [unsigned, noSigner, by(ada)]],
    ['the same', 'known', [signed(ada), knows(ada)]],
    ['another', 'ERR_RELEASE_SIGNER', [signed(bea), knows(ada)]],
    ['another by name', 'accepted', [signed(bea), knows(ada), by(bea)]],
    ['the same, where another is named', 'ERR_RELEASE_SIGNER', [signed(ada), knows(ada), by(bea)]],
    ['the one that follows', 'followed', [signed(bea, follows), knows(ada)]],
    ['the one before', 'ERR_RELEASE_SIGNER', [signed(ada, follows), knows(bea)]],
    [
      'one that says itself that it follows',
      'ERR_RELEASE_SIGNER',
      [signed(bea, formatRotation(bea.fingerprint, bea)), knows(ada)],
    ],
    ['one that was left by hand, though named before', 'ERR_RELEASE_SIGNER', [signed(bea, follows), left(bea)]],
    [
      'one to which only it leads',
      'ERR_RELEASE_SIGNER',
      [signed(cyd, follows, formatRotation(cyd.fingerprint, bea)), left(bea)],
    ],
    [
      'one that another way leads to',
      'followed',
      [signed(cyd, follows, formatRotation(cyd.fingerprint, ada)), left(bea)],
    ],
    ['one that was left by hand, by name', 'accepted', [signed(bea, follows), left(bea), by(bea)]],
    [
      'nobody known, one that was left by hand',
      'ERR_RELEASE_SIGNER',
      [signed(bea), { ...noSigner, refused: [bea.fingerprint] }],
    ],
    ['unsigned', 'ERR_RELEASE_SIGNER', [unsigned, knows(ada)]],
    ['unsigned by name', 'accepted-unsigned', [unsigned, knows(ada), { unsigned: release }]],
    ['unsigned by another name', 'ERR_INPUT', [unsigned, knows(ada), { unsigned: '1.2.0' }]],
    [
      'unsigned, taken before',
      'accepted-unsigned',
      [unsigned, { ...knows(ada), unsigned: [inGroups(manifestSha256)] }],
    ],
    ['another’s, though unsigned is allowed', 'ERR_RELEASE_SIGNER', [signed(bea), knows(ada), { unsigned: release }]],
    ['a name that is no fingerprint', 'ERR_INPUT', [signed(ada), noSigner, { signer: 'ada\u001b[2J' }]],
  ];
  for (const [what, expected, given] of cases) {
    if (expected.startsWith('ERR_')) assert.throws(() => judgeSigner(...given), { code: expected }, what);
    else assert.equal(judgeSigner(...given).kind, expected, what);
  }
});

test('a release without a signature says so, and a chain is told from its end', () => {
  assert.match(
    judgementText(judgeSigner(unsigned, noSigner)),
    /^not signed, and no signer is known, so its origin is not proven$/,
  );
  const followed = judgementText(judgeSigner(signed(bea, formatRotation(bea.fingerprint, ada)), knows(ada)));
  assert.equal(followed, `signed by ${bea.fingerprint}, the successor of ${ada.fingerprint}`);
});

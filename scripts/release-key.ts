/** `npm run release-key`: makes and shows the key that releases are signed with, and states which key follows it. */
import { formatRotation } from '../src/release/signature.ts';
import { fingerprintOf, typedFingerprint } from '../src/release/signer-fingerprint.ts';
import { readOptions } from './script-options.ts';
import { makeSigningKey, readSigningKey } from './signing-key.ts';

const usage = `npm run release-key -- new PATH                          makes the key that releases are signed with, and its public half PATH.pub
npm run release-key -- show PATH                         prints its fingerprint, which the publisher makes known
npm run release-key -- follow OLD-PATH NEW-FINGERPRINT   prints the statement of the old key that another one follows it: what
    \`npm run release -- --rotation\` puts beside archives, and \`bramble release signer follow\` takes`;
const { positionals } = readOptions(usage, { allowPositionals: true });
try {
  process.stdout.write(`${answer(positionals)}\n`);
} catch (error) {
  process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

function answer([verb, file, next, ...rest]: readonly string[]): string {
  if (file === undefined || rest.length > 0 || (next !== undefined) !== (verb === 'follow')) throw new Error(usage);
  if (verb === 'new') return `signer ${fingerprintOf(makeSigningKey(file).publicKey)}`;
  if (verb === 'show') return `signer ${fingerprintOf(readSigningKey(file).publicKey)}`;
  const fingerprint = typedFingerprint(next ?? '');
  if (verb !== 'follow') throw new Error(usage);
  if (fingerprint === undefined)
    throw new Error(`The fingerprint of the new key is wanted, as \`show\` prints it. ${usage}`);
  return formatRotation(fingerprint, readSigningKey(file)).trimEnd();
}

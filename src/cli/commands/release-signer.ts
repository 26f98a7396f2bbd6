/** `bramble release signer`: whose releases the domain trusts. */
import type { Command } from 'commander';
import { type ReleaseSigner, releaseSignerOperations } from '../../api/release-signer.ts';
import { readInputFile } from '../../base/input-file.ts';
import { timeText } from '../../base/time-text.ts';
import { example, type Frame } from '../frame.ts';
import { facts, type Style } from '../text-output.ts';

export function addReleaseSignerCommands(releases: Command, frame: Frame): void {
  const signers = releases.command('signer').description('whose releases the domain accepts');
  addShow(signers, frame);
  addTrust(signers, frame);
  addFollow(signers, frame);
  addForget(signers, frame);
}

function addShow(signers: Command, frame: Frame): void {
  example(
    signers
      .command('show')
      .description('show the signer that the domain trusts, since when, and why')
      .action(async (_flags: object, command) => {
        await frame.ask(command, releaseSignerOperations.show, {}, signerText);
      }),
    'bramble release signer show',
  );
}

function addTrust(signers: Command, frame: Frame): void {
  example(
    signers
      .command('trust <fingerprint>')
      .description(
        'trust only this signer from now on; the previous one is rejected, even as a successor in a rotation statement',
      )
      .option('--refuse <fingerprint...>', 'also reject these signers, which the trusted one should not have named')
      .action(async (fingerprint: string, { refuse = [] }: { refuse?: string[] }, command) => {
        await frame.ask(command, releaseSignerOperations.trust, { body: { fingerprint, refuse } }, signerText);
      }),
    'bramble release signer trust 3f2a9c01:… --refuse 77d1e2b4:…',
  );
}

function addFollow(signers: Command, frame: Frame): void {
  example(
    signers
      .command('follow <file>')
      .description('follow the trusted signer to the successor named in these statements')
      .action(async (file: string, _flags: object, command) => {
        const body = { statements: await readInputFile(file) };
        await frame.ask(command, releaseSignerOperations.follow, { body }, signerText);
      }),
    'bramble release signer follow bramble-signer.rotation',
  );
}

function addForget(signers: Command, frame: Frame): void {
  example(
    signers
      .command('forget')
      .description('forget the signer: the domain then trusts the signer of the next signed release')
      .action(async (_flags: object, command) => {
        await frame.ask(command, releaseSignerOperations.forget, {}, signerText);
      }),
    'bramble release signer forget',
  );
}

function signerText(signer: ReleaseSigner, style: Style): string {
  const { fingerprint, since, occasion, unsigned, refused } = signer;
  return facts(style, [
    ['signer', fingerprint ?? 'none yet: the domain will trust the signer of the next signed release'],
    ...(since === null ? [] : [['since', timeText(since)] as const]),
    ...(occasion === null ? [] : [['because', occasion] as const]),
    ...unsigned.map(({ release }) => ['unsigned', `${release} was accepted by name`] as const),
    ...refused.map((signer) => ['refused', `${signer}, unless accepted by name`] as const),
  ]);
}

/** `bramble release`: archives of releases, and who signed them. */
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { z } from 'zod';
import { BrambleError, isBrambleError } from '../../base/errors.ts';
import { readInputFile } from '../../base/input-file.ts';
import {
  type Acceptance,
  type JudgedRelease,
  type Judgement,
  judgementText,
  judgeSigner,
  noSigner,
} from '../../release/signer-judgement.ts';
import { type AcceptanceFlags, acceptanceOptions } from '../acceptance-flags.ts';
import { homeFolder } from '../administration-access.ts';
import { example, type Frame } from '../frame.ts';
import { RestError } from '../rest-client.ts';
import { facts, type Style, timeText } from '../text-output.ts';
import { addReleaseWayCommand } from './release-way.ts';

const signerShape = z.looseObject({
  fingerprint: z.string().nullable(),
  since: z.string().nullable(),
  occasion: z.string().nullable(),
  unsigned: z.array(z.object({ release: z.string(), manifest: z.string() })),
  refused: z.array(z.string()).default([]),
});

export function addReleaseCommands(program: Command, frame: Frame, setExitCode: (code: number) => void): void {
  const releases = program.command('release').description('archives of releases, and who signs them');
  example(
    acceptanceOptions(
      releases
        .command('verify <archive>')
        .description('check an archive: its manifest, the digest of every file, and by whose key it is signed'),
    ).action(async (archive: string, flags: AcceptanceFlags, command) => {
      const { readArchive } = await import('../../release/archive.ts');
      const { manifest, ...found } = await readArchive(archive);
      const signed = await judged(frame, command, found, flags);
      frame.show(command, { ...manifest, ...signed }, (value, style) =>
        facts(style, [
          ['release', value.release],
          ['commit', value.commit ?? 'a working tree'],
          ['schema', String(value.schemaVersion)],
          ['files', `${Object.keys(value.files).length}, all as the manifest says`],
          ...signatureLines(signed),
        ]),
      );
    }),
    'bramble release verify releases/bramble-1.0.0.tgz',
  );
  example(
    acceptanceOptions(
      releases
        .command('install <archive>')
        .description('unpack an archive into BRAMBLE_HOME/releases, so that processes can be run from it'),
    ).action(async (archive: string, flags: AcceptanceFlags, command) => {
      const { installRead, readArchive } = await import('../../release/archive.ts');
      const read = await readArchive(archive);
      const signed = await judged(frame, command, read, flags);
      const named = flags.acceptSigner !== undefined || flags.acceptUnsigned !== undefined;
      if (signed.domain.asked === false && !named) await refuseUnasked(frame, read.release, signed.domain.why);
      const folder = await installRead(read, homeFolder(frame.environment));
      frame.show(command, { folder, ...signed }, (_, style) =>
        facts(style, [['installed', folder], ...signatureLines(signed)]),
      );
    }),
    'bramble release install releases/bramble-1.1.0.tgz',
  );
  example(
    releases
      .command('show')
      .description('the release of this program')
      .action(async (_flags: object, command) => {
        const { thisRelease } = await import('../../release/this-release.ts');
        frame.show(command, thisRelease, (value) => value.release);
      }),
    'bramble release show',
  );
  addReleaseWayCommand(releases, frame, setExitCode);
  addSignerCommands(releases, frame);
}

function addSignerCommands(releases: Command, frame: Frame): void {
  const signers = releases.command('signer').description('whose releases the domain takes');
  const question = { path: '/release-signer', shape: signerShape, text: signerText };
  example(
    signers
      .command('show')
      .description('the signer that the domain trusts, since when, and why')
      .action(async (_flags: object, command) => await frame.ask(command, question)),
    'bramble release signer show',
  );
  example(
    signers
      .command('trust <fingerprint>')
      .description(
        'trust only this signer from now on; the previous one stays refused, even as a successor in a rotation statement',
      )
      .option(
        '--refuse <fingerprint...>',
        'refuse these signers too, which the trusted one has named and should not have',
      )
      .action(
        async (fingerprint: string, { refuse = [] }: { refuse?: string[] }, command) =>
          await frame.ask(command, { ...question, method: 'PUT', body: { fingerprint, refuse } }),
      ),
    'bramble release signer trust 3f2a9c01:… --refuse 77d1e2b4:…',
  );
  example(
    signers
      .command('follow <file>')
      .description('follow the trusted signer to the one that it names in these statements')
      .action(async (file: string, _flags: object, command) => {
        const body = { statements: await readInputFile(file) };
        await frame.ask(command, { ...question, method: 'POST', path: '/release-signer/rotation', body });
      }),
    'bramble release signer follow bramble-signer.rotation',
  );
  example(
    signers
      .command('forget')
      .description('forget the signer: the next signed release makes its signer known')
      .action(async (_flags: object, command) => await frame.ask(command, { ...question, method: 'DELETE' })),
    'bramble release signer forget',
  );
}

function signerText(signer: z.output<typeof signerShape>, style: Style): string {
  const { fingerprint, since, occasion, unsigned, refused } = signer;
  return facts(style, [
    ['signer', fingerprint ?? 'none is known: the next signed release makes its signer known'],
    ...(since === null ? [] : [['since', timeText(since)] as const]),
    ...(occasion === null ? [] : [['because', occasion] as const]),
    ...unsigned.map(({ release }) => ['unsigned', `${release} was taken by name`] as const),
    ...refused.map((signer) => ['refused', `${signer}, unless it is named`] as const),
  ]);
}

interface Judged {
  signature: Judgement;
  domain: { asked: true } | { asked: false; why: string };
}

/** By what the domain knows, where it can be asked; otherwise the signature alone is judged, and that is said. */
async function judged(frame: Frame, command: Command, found: JudgedRelease, flags: AcceptanceFlags): Promise<Judged> {
  const accepted: Acceptance = { signer: flags.acceptSigner, unsigned: flags.acceptUnsigned };
  try {
    const stored = signerShape.parse(await (await frame.rest(command)).send('GET', '/release-signer'));
    const { fingerprint, refused } = stored;
    const known = { fingerprint, refused, unsigned: stored.unsigned.map(({ manifest }) => manifest) };
    return { signature: judgeSigner(found, known, accepted), domain: { asked: true } };
  } catch (error) {
    const why = whyUnasked(error);
    if (why === undefined) throw error;
    return { signature: judgeSigner(found, noSigner, accepted), domain: { asked: false, why } };
  }
}

function whyUnasked(error: unknown): string | undefined {
  if (error instanceof RestError && error.status === 404) return earlierRelease;
  if (!isBrambleError(error)) return undefined;
  if (error.code === 'ERR_ADMIN_ACCESS') return 'no token of an administrator is known';
  const unreachable = ['ERR_ADMIN_UNREACHABLE', 'ERR_ADMIN_ANSWER', 'ERR_RELEASE_FENCED'];
  return unreachable.includes(error.code) ? 'no administration service answers' : undefined;
}
const earlierRelease = 'its administration service is of a release that knows no signatures';

/** A home that belongs to a domain takes nothing that the domain may not trust. @throws BrambleError ERR_RELEASE_SIGNER */
async function refuseUnasked(frame: Frame, release: string, why: string): Promise<void> {
  const home = homeFolder(frame.environment);
  const isOfDomain = await access(join(home, 'config.json')).then(
    () => true,
    () => false,
  );
  if (!isOfDomain || why === earlierRelease) return;
  throw new BrambleError(
    'ERR_RELEASE_SIGNER',
    `${home} belongs to a domain, which could not be asked whose releases it takes: ${why}. Start it first, or say by name whom you trust: ` +
      `--accept-signer <fingerprint>, or --accept-unsigned ${release}.`,
    { details: { release } },
  );
}

function signatureLines({ signature, domain }: Judged): (readonly [string, string])[] {
  return [
    ['signature', judgementText(signature)],
    ...(domain.asked ? [] : [['domain', `not asked: ${domain.why}`] as const]),
  ];
}

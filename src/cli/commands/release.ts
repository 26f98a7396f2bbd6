/** `bramble release`: archives of releases, and who signed them. */
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { AnsweredError } from '../../api/exchange.ts';
import { releaseSignerOperations } from '../../api/release-signer.ts';
import { BrambleError, isBrambleError } from '../../base/errors.ts';
import type { Manifest } from '../../release/manifest.ts';
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
import { facts } from '../text-output.ts';
import { addReleaseSignerCommands } from './release-signer.ts';
import { addReleaseWayCommand } from './release-way.ts';

export function addReleaseCommands(program: Command, frame: Frame, setExitCode: (code: number) => void): void {
  const releases = program.command('release').description('release archives and their signers');
  addVerify(releases, frame);
  addInstall(releases, frame);
  addShow(releases, frame);
  addReleaseWayCommand(releases, frame, setExitCode);
  addReleaseSignerCommands(releases, frame);
}

function addVerify(releases: Command, frame: Frame): void {
  example(
    acceptanceOptions(
      releases
        .command('verify <archive>')
        .description('check an archive: its manifest, the digest of every file, and its signer'),
    ).action(async (archive: string, flags: AcceptanceFlags, command) => {
      const { readArchive } = await import('../../release/archive.ts');
      const { manifest, ...found } = await readArchive(archive);
      const signed = await judged(frame, command, found, flags);
      frame.show(command, { ...manifest, ...signed }, (value, style) =>
        facts(style, [
          ['release', value.release],
          ['commit', value.commit ?? 'a working tree'],
          ['schema', schemaText(value)],
          ['files', `${Object.keys(value.files).length}, all matching the manifest`],
          ...signatureLines(signed),
        ]),
      );
    }),
    'bramble release verify releases/bramble-1.0.0.tgz',
  );
}

/** Contracting migrations follow when an upgrade is finalized, and at once in a new domain. */
function schemaText({ schemaVersion, files }: Pick<Manifest, 'schemaVersion' | 'files'>): string {
  const contracting = Object.keys(files).flatMap((file) => /^sql\/(\d+)-.*\.contract\.sql$/.exec(file)?.[1] ?? []);
  const last = Math.max(schemaVersion, ...contracting.map(Number));
  return last === schemaVersion
    ? String(last)
    : `${schemaVersion}; ${last} once an upgrade is finalized, and in a new domain`;
}

function addInstall(releases: Command, frame: Frame): void {
  example(
    acceptanceOptions(
      releases
        .command('install <archive>')
        .description('unpack an archive into BRAMBLE_HOME/releases, so that processes can run from it'),
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
}

function addShow(releases: Command, frame: Frame): void {
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
}

interface Judged {
  signature: Judgement;
  domain: { asked: true } | { asked: false; why: string };
}

/**
 * Based on what the domain knows, if it can be asked; otherwise only the signature is judged, and the output says so.
 */
async function judged(frame: Frame, command: Command, found: JudgedRelease, flags: AcceptanceFlags): Promise<Judged> {
  const accepted: Acceptance = { signer: flags.acceptSigner, unsigned: flags.acceptUnsigned };
  try {
    const stored = await (await frame.client(command)).call(releaseSignerOperations.show, {});
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
  if (error instanceof AnsweredError && error.status === 404) return earlierRelease;
  if (!isBrambleError(error)) return undefined;
  if (error.code === 'ERR_ADMIN_ACCESS') return 'no administrator token is known';
  const unreachable = ['ERR_ADMIN_UNREACHABLE', 'ERR_ADMIN_ANSWER', 'ERR_RELEASE_FENCED'];
  return unreachable.includes(error.code) ? 'no administration service answers' : undefined;
}
const earlierRelease = 'its administration service is of a release without support for signatures';

/**
 * A home that belongs to a domain accepts nothing that the domain may not trust. @throws BrambleError
 * ERR_RELEASE_SIGNER
 */
async function refuseUnasked(frame: Frame, release: string, why: string): Promise<void> {
  const home = homeFolder(frame.environment);
  const isOfDomain = await access(join(home, 'config.json')).then(
    () => true,
    () => false,
  );
  if (!isOfDomain || why === earlierRelease) return;
  throw new BrambleError(
    'ERR_RELEASE_SIGNER',
    `${home} belongs to a domain that could not be asked whose releases it accepts: ${why}. Start it first, or name ` +
      `what you trust: --accept-signer <fingerprint>, or --accept-unsigned ${release}.`,
    { details: { release } },
  );
}

function signatureLines({ signature, domain }: Judged): (readonly [string, string])[] {
  return [
    ['signature', judgementText(signature)],
    ...(domain.asked ? [] : [['domain', `not asked: ${domain.why}`] as const]),
  ];
}

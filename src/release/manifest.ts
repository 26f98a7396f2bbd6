/** The first thing in a release archive: what the release is, and the digest of every file in it. */
import * as z from 'zod';
import { BrambleError } from '../base/errors.ts';

export const manifestName = 'manifest.json';
export const programName = 'bramble.mjs';

/** Relative, plain names, no leading dots: nothing that could escape the release's folder. */
const filePath = z
  .string()
  .max(200)
  .regex(/^[A-Za-z0-9_][A-Za-z0-9._-]*(\/[A-Za-z0-9_][A-Za-z0-9._-]*)*$/);

const releaseNumber = z.string().regex(/^(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})$/);

/** Tolerates keys that a later release adds: the release before it has to read its archive. */
export const manifestSchema = z.looseObject({
  format: z.literal(1),
  release: releaseNumber,
  /** The commit that it was built from; null for a working tree. */
  commit: z
    .string()
    .regex(/^[0-9a-f]{40}$/)
    .nullable(),
  /** True for an archive of a working tree, which may be built again with other contents. */
  workingTree: z.boolean(),
  schemaVersion: z.int().min(0),
  leastSchemaVersion: z.int().min(0),
  linkVersions: z.array(z.int().min(1)).min(1),
  features: z.array(z.string()),
  /** Version of the embedded PostgreSQL's package that it was tested with. */
  postgres: z.string(),
  /** SHA-256 of each shape of JSON that it stores, by name (`scripts/stored-shapes.ts`). Absent before 1.2. */
  shapes: z.record(z.string(), z.string().regex(/^[0-9a-f]{64}$/)).optional(),
  /** SHA-256 in hexadecimal of every file but the manifest itself. */
  files: z.record(filePath, z.string().regex(/^[0-9a-f]{64}$/)),
});

export type Manifest = z.output<typeof manifestSchema>;

/** Where a modified release was found: each place has a different remedy. */
export type Found = { kind: 'archive' } | { kind: 'installed'; folder: string };
const inArchive: Found = { kind: 'archive' };

/** @throws BrambleError ERR_RELEASE_ARCHIVE_MALFORMED when the text is not the manifest of a complete release. */
export function parseManifest(text: string, found: Found = inArchive): Manifest {
  const malformed = (why: string, cause?: unknown) => malformedIn(found, why, cause);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw malformed('its manifest is not JSON', cause);
  }
  const parsed = manifestSchema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw malformed(
      `its manifest is invalid at "${issue?.path.join('.') ?? ''}": ${issue?.message ?? ''}`,
      parsed.error,
    );
  }
  const manifest = parsed.data;
  if (!(programName in manifest.files) || !Object.keys(manifest.files).some((name) => name.startsWith('sql/'))) {
    throw malformed('it lacks the program or the migrations');
  }
  if (manifestName in manifest.files || manifest.workingTree !== (manifest.commit === null)) {
    throw malformed('its manifest contradicts itself');
  }
  return manifest;
}

/** The text of a manifest: the same for the same contents. */
export function formatManifest(manifest: Manifest): string {
  const files = Object.fromEntries(Object.entries(manifest.files).sort(([a], [b]) => (a < b ? -1 : 1)));
  const { format, release, commit, workingTree, schemaVersion, leastSchemaVersion } = manifest;
  const { linkVersions, features, postgres, shapes } = manifest;
  const ordered: Manifest = {
    ...{ format, release, commit, workingTree, schemaVersion, leastSchemaVersion },
    ...{ linkVersions, features, postgres, ...(shapes === undefined ? {} : { shapes }), files },
  };
  return `${JSON.stringify(ordered, null, 2)}\n`;
}

export function malformed(why: string, cause?: unknown): BrambleError {
  return malformedIn(inArchive, why, cause);
}

function malformedIn(found: Found, why: string, cause?: unknown): BrambleError {
  const what = found.kind === 'archive' ? 'This' : `What is installed in ${found.folder}`;
  return new BrambleError(
    'ERR_RELEASE_ARCHIVE_MALFORMED',
    `${what} is not a usable release${found.kind === 'archive' ? ' archive' : ''}: ${why}. ${remedyOf(found)}`,
    { cause },
  );
}

export function changed(why: string, found: Found = inArchive): BrambleError {
  return new BrambleError(
    'ERR_RELEASE_ARCHIVE_CHANGED',
    found.kind === 'archive'
      ? `The release was changed after it was built: ${why}. ${remedyOf(found)}`
      : `What is installed in ${found.folder} was changed after it was built: ${why}. ${remedyOf(found)}`,
  );
}

function remedyOf(found: Found): string {
  return found.kind === 'archive'
    ? 'Download the archive again.'
    : `The archive may be good: move ${found.folder} aside and install it again with "bramble release install".`;
}

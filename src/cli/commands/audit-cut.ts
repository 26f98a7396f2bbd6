/** `bramble audit cut`: old records are exported, and then removed for good. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { verifyExport } from '../../access/audit/export.ts';
import { type AuditCut, auditOperations } from '../../api/audit.ts';
import type { AdministrationClient } from '../../api/client.ts';
import { BrambleError, messageOf } from '../../base/errors.ts';
import { instant } from '../arguments.ts';
import { confirm, confirmable } from '../confirmation.ts';
import { example, type Frame } from '../frame.ts';

interface CutFlags {
  before: string;
  export?: string;
  yes?: true;
}

export function addAuditCut(audit: Command, frame: Frame): void {
  example(
    confirmable(
      audit
        .command('cut')
        .description('remove old records for good; what was removed, when and by whom is signed and kept')
        .requiredOption('--before <time>', 'remove what was recorded before; the last 30 days always stay', instant)
        .option('--export <path>', 'first write the records to this new file, and verify it'),
    ).action(async (flags: CutFlags, command) => {
      const client = await frame.client(command);
      const { place } = await client.call(auditOperations.cutPlace, { query: { before: flags.before } });
      if (place === null) {
        frame.show(command, null, () => 'Nothing was removed: no record is that old.');
        return;
      }
      const { after, number: upTo, chain } = place;
      const exported = flags.export === undefined ? undefined : await exportedTo(flags.export, client, place);
      if (flags.yes !== true) {
        const without = exported === undefined ? ' They have not been exported.' : '';
        await confirm(frame, `Remove the records ${after + 1} to ${upTo} of the audit for good?${without}`);
      }
      const body = { number: upTo, chain, ...(exported === undefined ? {} : { exportSha256: exported }) };
      await frame.ask(command, auditOperations.cut, { body }, cutText);
    }),
    'bramble audit cut --before 2026-01-01 --export audit-until-2026.jsonl',
  );
}

/** Writes the records to a file that does not exist yet, and verifies what was written. @returns its SHA-256 */
async function exportedTo(
  path: string,
  client: AdministrationClient,
  { after, number: upTo, chain }: { after: number; number: number; chain: string },
): Promise<string> {
  const file = await newFile(path);
  try {
    const lines = await client.download(auditOperations.export, { query: { after, upTo } });
    await pipeline(Readable.fromWeb(lines), file.createWriteStream({ flush: true }));
  } finally {
    await file.close();
  }
  const { faults, sealed, chain: written } = await verifyExport(createInterface({ input: createReadStream(path) }));
  if (faults > 0 || sealed !== upTo || written !== chain) {
    throw new BrambleError(
      'ERR_AUDIT_CUT',
      `The export ${path} is not intact, so nothing was removed. Verify the audit.`,
    );
  }
  const digest = createHash('sha256');
  await pipeline(createReadStream(path), digest);
  return digest.digest('hex');
}

async function newFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'wx', 0o600);
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code === 'EEXIST' ? 'it exists already' : messageOf(cause);
    throw new BrambleError('ERR_INPUT', `"${path}" cannot be written: ${why}.`, { cause });
  }
}

function cutText({ after, number: upTo, exportSha256: exported }: AuditCut): string {
  const file = exported === null ? '' : ` Keep the export; its SHA-256 is ${exported}.`;
  return `The records ${after + 1} to ${upTo} are being removed.${file}`;
}

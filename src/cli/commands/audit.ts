/** `bramble audit`. */
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { verifyExport } from '../../access/audit/export.ts';
import { type AuditEntryView, auditOperations } from '../../api/audit.ts';
import type { AnswerOf } from '../../api/operation.ts';
import { counted } from '../../base/counted.ts';
import { BrambleError } from '../../base/errors.ts';
import { openInputFile, readInputFile } from '../../base/input-file.ts';
import { shownValue } from '../../base/shown-text.ts';
import { timeText } from '../../base/time-text.ts';
import { instant, number } from '../arguments.ts';
import { exitCode } from '../exit-codes.ts';
import { example, type Frame } from '../frame.ts';
import { columns, facts, moreText, type Style, table } from '../text-output.ts';
import { addAuditCut } from './audit-cut.ts';

type OfDomain = AnswerOf<typeof auditOperations.verify>;
/** Of the domain, or of an export, which begins after this many records. */
type Verified = Omit<OfDomain, 'pending'> & { pending?: number; after: number; keyFingerprint?: string | null };

export function addAuditCommands(program: Command, frame: Frame, setExitCode: (code: number) => void): void {
  const audit = program.command('audit').description('who changed what, and whether the record is intact');
  addList(audit, frame);
  addVerify(audit, frame, setExitCode);
  addExport(audit, frame);
  addAuditCut(audit, frame);
}

interface ListFlags {
  actor?: string;
  operation?: string;
  subject?: string;
  since?: string;
  until?: string;
  before?: string;
  limit: number;
  changes?: true;
}

function addList(audit: Command, frame: Frame): void {
  example(
    audit
      .command('list')
      .description('list changes, newest first')
      .option('--actor <name>', 'only changes by this token or component')
      .option('--operation <text>', 'only changes whose operation or table contains this text, such as it_policy')
      .option('--subject <name>', 'only changes to this account, policy, device …')
      .option(
        '--since <time>',
        'only changes from this time on: 2026-11-25, 2026-11-25T08:00 (local time) or 2026-11-25T08:00Z',
        instant,
      )
      .option('--until <time>', 'only changes before this time', instant)
      .option('--before <id>', 'show entries before this id')
      .option('--limit <number>', 'maximum number of changes', number, 50)
      .option('--changes', 'show the values before and after')
      .action(async ({ changes, ...query }: ListFlags, command) => {
        const list = changes === true ? listWithChanges : listOf;
        await frame.ask(
          command,
          auditOperations.list,
          { query },
          (page, style) => list(page.entries, style) + moreText(style, '--before', page.next),
        );
      }),
    'bramble audit list --subject ada --since 2026-11-01 --changes',
  );
}

function addVerify(audit: Command, frame: Frame, setExitCode: (code: number) => void): void {
  example(
    audit
      .command('verify')
      .description('verify the record of the domain, or an export; exits with 1 if it is not intact')
      .option('--file <path>', 'verify an export instead of the domain; needs no service')
      .option('--heads <path>', 'with --file: the audit/heads.jsonl of a BRAMBLE_HOME')
      .option('--trust-key <fingerprint>', 'accept a cut that was signed by this audit key, of another BRAMBLE_HOME')
      .action(async ({ file, heads, trustKey }: VerifyFlags, command) => {
        if (heads !== undefined && file === undefined) {
          throw new BrambleError('ERR_USAGE', '--heads requires --file: the domain is verified against its own heads.');
        }
        const verified =
          file === undefined ? await verifyDomain(frame, command, trustKey) : await verifyFile(file, heads, trustKey);
        frame.show(command, verified, (raw, style) => verificationText(shownValue(raw), style));
        if (verified.faults > 0) setExitCode(exitCode.failed);
      }),
    'bramble audit verify',
    'bramble audit verify --file audit.jsonl',
  );
}

interface VerifyFlags {
  file?: string;
  heads?: string;
  trustKey?: string;
}

async function verifyDomain(frame: Frame, command: Command, trustKey?: string): Promise<Verified> {
  const client = await frame.client(command);
  const query = trustKey === undefined ? {} : { trustKey };
  const { sealed, pending, ...rest } = await client.call(auditOperations.verify, { query });
  return { sealed, pending, after: rest.cut?.number ?? 0, ...rest };
}

async function verifyFile(file: string, headFile?: string, trustKey?: string): Promise<Verified> {
  // Before the lines of the file, which flow once they are asked for.
  const heads = headFile === undefined ? '' : await readInputFile(headFile);
  return await verifyExport(createInterface({ input: await openInputFile(file) }), heads, trustKey);
}

function addExport(audit: Command, frame: Frame): void {
  example(
    audit
      .command('export')
      .description('print all records as JSON lines that can be verified elsewhere')
      .option('--after <number>', 'skip this many records', number, 0)
      .action(async (query: { after: number }, command) => {
        const client = await frame.client(command);
        const lines = await client.download(auditOperations.export, { query });
        await pipeline(Readable.fromWeb(lines), frame.output, { end: false });
      }),
    'bramble audit export > audit.jsonl',
    'bramble audit export --after 12000 > audit-from-12000.jsonl',
  );
}

function listOf(entries: readonly AuditEntryView[], style: Style): string {
  return columns(style, entries, {
    number: (row) => (row.number === null ? '-' : String(row.number)),
    time: (row) => timeText(row.at),
    who: (row) => whoOf(row, style),
    operation: (row) => row.operation,
    subject: subjectsOf,
    changed: changesOf,
  });
}

function listWithChanges(entries: readonly AuditEntryView[], style: Style): string {
  if (entries.length === 0) return style.dim('none');
  return entries
    .map((row) =>
      [
        `${style.bold(row.operation)}  ${subjectsOf(row)}`,
        `  ${timeText(row.at)} by ${whoOf(row, style)}${row.number === null ? '' : `, number ${row.number}`}`,
        ...(row.requestId === null ? [] : [`  request ${row.requestId}`]),
        ...[...(row.kind === 'operation' ? [] : [{ ...row, subjectCount: row.subjects.length }]), ...row.changes].map(
          (changed) =>
            `  ${changed.operation} ${namesOf(changed.subjects, changed.subjectCount)}: ${JSON.stringify(changed.detail)}`,
        ),
        ...(row.changeCount > row.changes.length ? [`  … ${row.changeCount - row.changes.length} more changes`] : []),
      ].join('\n'),
    )
    .join('\n');
}

function whoOf({ actor, kind, detail }: AuditEntryView, style: Style): string {
  if (actor !== null) {
    const from = detail['from'] as { address?: string; onOrderOf?: string; actorKind?: string } | undefined;
    const where = from?.onOrderOf === undefined ? from?.address : `for ${from.onOrderOf}`;
    // Releases before 1.5 say nothing of the kind, and processes have none.
    const kind = from?.actorKind?.replace('legacy-', '');
    const known = [kind, where].filter((each) => each !== undefined);
    return known.length === 0 ? actor : `${actor} (${known.join(', ')})`;
  }
  return kind === 'marker' ? '-' : style.red(`not recorded (${String(detail['application'] ?? '?')})`);
}

/** If the request's path names nothing (a new object has no path yet), the object of its first change. */
function subjectsOf({ subjects, changes }: AuditEntryView): string {
  const [first] = changes;
  if (subjects.length > 0 || first === undefined) return namesOf(subjects, subjects.length);
  const alike = changes.filter(({ operation }) => operation === first.operation).length;
  return namesOf(first.subjects, first.subjectCount) + (alike > 1 ? ` and ${alike - 1} more` : '');
}

/** Changes of one kind once, with their number. */
function changesOf({ changes, changeCount }: AuditEntryView): string {
  const kinds = [...Map.groupBy(changes, ({ operation }) => operation)].map(([operation, same]) =>
    same.length === 1 ? operation : `${operation} ×${same.length}`,
  );
  if (changeCount > changes.length) kinds.push(`${changeCount - changes.length} more`);
  return kinds.join(', ') || '-';
}

function namesOf(names: readonly string[], count: number): string {
  if (names.length === 0) return '-';
  const shown = names.slice(0, 3).join(', ');
  return count > 3 ? `${shown} and ${count - 3} more` : shown;
}

function verificationText(answer: Verified, style: Style): string {
  const { sealed, pending, after, cut, heads, faults, findings, keyFingerprint } = answer;
  const verdict = faults === 0 ? style.green('intact') : style.red(`not intact: ${counted(faults, 'fault')}`);
  return [
    facts(style, [
      ['audit', verdict],
      [
        'records',
        `${after === 0 ? '' : `${after + 1} to `}${sealed} verified${pending === undefined ? '' : `, ${pending} pending`}`,
      ],
      ...(cut === null
        ? []
        : [['begins', `at ${cut.number + 1} after a cut by ${cut.by} on ${timeText(cut.at)}`] as const]),
      ['stored heads', String(heads)],
      ...(keyFingerprint ? [['signed by key', keyFingerprint] as const] : []),
    ]),
    ...(findings.length === 0
      ? []
      : [
          '',
          table(
            style,
            ['number', 'fault', 'what is wrong'],
            findings.map((row) => [row.number === null ? '-' : String(row.number), row.kind, row.message]),
          ),
        ]),
    ...(faults > findings.length ? [style.dim(`The first ${findings.length} of ${faults} are shown.`)] : []),
  ].join('\n');
}

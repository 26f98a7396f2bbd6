/** `bramble status`. */
import type { Command } from 'commander';
import * as z from 'zod';
import { example, type Frame } from '../frame.ts';
import { cell, facts, type Style, table } from '../text-output.ts';
import { component, componentTable } from './component.ts';

const status = z.object({
  domain: z.object({ name: z.string(), publicUrl: z.string(), release: z.string(), featureLevel: z.string() }),
  components: z.array(component),
  /** An administration of 1.1 sends none. */
  supervisors: z
    .array(
      z.object({
        host: z.string(),
        release: z.string().nullable(),
        atWork: z.boolean(),
        nodeVersion: z.string().nullable(),
        postgresBinaries: z.string().nullable(),
        postgresServer: z.string().nullable(),
      }),
    )
    .default([]),
  instances: z.array(
    z.object({
      name: z.string(),
      alive: z.boolean(),
      release: z.string().nullable(),
      accountCount: z.number(),
      deviceCount: z.number(),
      links: z.array(z.object({ router: z.string() })),
      deliveries: z.object({ owed: z.number(), released: z.number(), inFlight: z.number(), suspects: z.number() }),
      hold: z.object({ reason: z.string(), text: z.string(), waiting: z.number(), heldSeconds: z.number() }).nullable(),
    }),
  ),
  sharedDatabaseRole: z.string().nullish(),
  deliveries: z.object({
    inFlight: z.number(),
    suspects: z.number(),
    budget: z.record(z.string(), z.number()),
    heldBySuspects: z.object({ instances: z.array(z.string()), silent: z.number(), clearedBy: z.string() }).nullish(),
  }),
  unansweredDevices: z.number().default(0),
  identities: z
    .object({
      ended: z.number(),
      endWithin30Days: z.number(),
      due: z.number(),
      underWay: z.number(),
      unused: z.number(),
      failed: z.number(),
      renewing: z.boolean(),
    })
    .optional(),
  certificates: z
    .array(z.object({ name: z.string(), endsAt: z.string(), renewal: z.string(), warning: z.string().nullable() }))
    .default([]),
  openMoves: z.array(z.object({ batch: z.string(), state: z.string(), open: z.number(), outOfReach: z.number() })),
  upgrade: z.object({ from: z.string(), to: z.string(), state: z.string(), reason: z.string().nullable() }).nullable(),
});

export function addStatusCommand(program: Command, frame: Frame): void {
  example(
    program
      .command('status')
      .description('the domain at a glance')
      .action(async (_flags: object, command) => {
        await frame.ask(command, { path: '/status', shape: status, text: statusText });
      }),
    'bramble status',
  );
}

function statusText(answer: z.output<typeof status>, style: Style): string {
  const { domain, deliveries, upgrade } = answer;
  const head: [string, string][] = [
    ['domain', `${style.bold(domain.name)} at ${domain.publicUrl}`],
    ['release', `${domain.release}, feature level ${domain.featureLevel}`],
    [
      'deliveries',
      `${deliveries.inFlight} of ${cell(deliveries.budget['perDomain'])} in flight, ${deliveries.suspects} of ` +
        `${cell(deliveries.budget['suspects'])} suspects`,
    ],
  ];
  if (answer.sharedDatabaseRole) {
    head.push([
      'database',
      `every process has the same database role (${answer.sharedDatabaseRole}); \`bramble database roles\` says how to ` +
        'give each kind its own',
    ]);
  }
  const held = deliveries.heldBySuspects;
  if (held) {
    const what = `${held.silent} silent devices hold sending back on ${held.instances.join(', ')}`;
    head.push(['', style.yellow(`${what}: \`${held.clearedBy}\` takes back what they were handed`)]);
  }
  if (answer.unansweredDevices > 0) {
    const what = `${answer.unansweredDevices} were handed the same command again and again without answering`;
    head.push(['devices', style.yellow(`${what}: \`bramble device list --unanswered\``)]);
  }
  if (answer.identities !== undefined) head.push(...identityLines(answer.identities, style));
  for (const move of answer.openMoves) {
    head.push([
      'moves',
      `${move.open} open (${move.outOfReach} out of reach) in the ${move.state} batch ${move.batch}`,
    ]);
  }
  if (upgrade !== null) {
    const reason = upgrade.reason === null ? '' : `: ${upgrade.reason}`;
    head.push(['upgrade', `${upgrade.from} to ${upgrade.to}, ${style.bold(upgrade.state)}${reason}`]);
  }
  const instances = answer.instances.map((row) => [
    row.name,
    row.alive ? style.green('at work') : style.red('absent'),
    cell(row.release),
    String(row.accountCount),
    String(row.deviceCount),
    row.links.length === 0 ? style.red('none') : row.links.map((link) => link.router).join(', '),
    `${row.deliveries.owed} / ${row.deliveries.released} / ${row.deliveries.inFlight} / ${row.deliveries.suspects}`,
    row.hold === null || row.hold.reason === 'nothing'
      ? '-'
      : `${row.hold.text} (${Math.round(row.hold.heldSeconds)} s)`,
  ]);
  return [
    facts(style, head),
    '',
    table(
      style,
      [
        'instance',
        'state',
        'release',
        'accounts',
        'devices',
        'links',
        'owed/released/in flight/suspects',
        'held back by',
      ],
      instances,
    ),
    '',
    componentTable(answer.components, style),
    ...(answer.supervisors.length === 0 ? [] : ['', supervisorTable(answer.supervisors, style)]),
    ...(answer.certificates.length === 0 ? [] : ['', certificateTable(answer.certificates, style)]),
  ].join('\n');
}

function identityLines(
  identities: NonNullable<z.output<typeof status>['identities']>,
  style: Style,
): [string, string][] {
  const { ended, endWithin30Days, due, underWay, unused, failed, renewing } = identities;
  const lines: [string, string][] = [];
  if (due > 0) {
    const counts = `${due} are to be renewed: ${underWay} under way, ${unused} issued and not used yet, ${failed} failed`;
    lines.push([
      'identities',
      renewing ? counts : `${due} are to be renewed, which begins when the upgrade is finalized`,
    ]);
  }
  if (ended + endWithin30Days > 0) {
    const what = `${endWithin30Days} end within 30 days, ${ended} have ended (their devices are served all the same)`;
    const head = lines.length === 0 ? 'identities' : '';
    lines.push([head, style.yellow(`${what}: \`bramble device list --identity-ends 30\``)]);
  }
  return lines;
}

function certificateTable(certificates: z.output<typeof status>['certificates'], style: Style): string {
  const rows = certificates.map(({ name, endsAt, renewal, warning }) => [
    name,
    endsAt.slice(0, 10),
    warning === null ? renewal : style.yellow(warning),
  ]);
  return table(style, ['certificate', 'ends', 'is renewed'], rows);
}

function supervisorTable(supervisors: z.output<typeof status>['supervisors'], style: Style): string {
  const rows = supervisors.map((row) => [
    row.host,
    row.atWork ? style.green('at work') : style.yellow(row.release === null ? 'says nothing' : 'not heard of lately'),
    cell(row.release ?? '1.1 or earlier'),
    cell(row.nodeVersion?.replace('v', '') ?? null),
    cell(row.postgresServer),
    cell(row.postgresBinaries),
  ]);
  return table(style, ['supervisor of', 'state', 'release', 'Node.js', 'PostgreSQL', 'its binaries'], rows);
}

/** The checks before an upgrade, in their order. `--override` takes the names of those that warn. */
export const checkNames = [
  'release-step',
  'release-installed',
  'release-signature',
  'hosts',
  'clocks',
  'components',
  'open-moves',
  'open-deliveries',
  'database',
  'connections',
  'long-transactions',
  'backfills',
  'disk-room',
  'master-key',
  'certificates',
  'rehearsal',
  'losses',
  'backup',
] as const;
export type CheckName = (typeof checkNames)[number];

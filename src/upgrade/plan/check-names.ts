/** The checks before an upgrade, in their order. `--override` takes the names of those that warn. */
export const checkNames = [
  'release-step',
  'release-installed',
  'release-signature',
  'hosts',
  'components',
  'open-moves',
  'database',
  'disk-room',
  'master-key',
  'rehearsal',
  'losses',
  'backup',
] as const;
export type CheckName = (typeof checkNames)[number];

/** The names of the checks before an upgrade, in their order: what `--override` takes, as far as warnings go. */
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

/** Texts of the audit. */

export const auditWords = {
  audit: 'Audit',
  lead: 'Every change and who made it, in a chain that cannot be altered unnoticed.',
  who: 'Who',
  whoPlaceholder: 'Name',
  what: 'What',
  whatPlaceholder: 'Part of an operation',
  whom: 'Affected',
  whomPlaceholder: 'Exact name or id',
  changes: 'Changes',
  keys: 'Newest first. j and k move, Enter opens',
  noneLikeThat: 'No change matches.',
  none: 'Nothing has been changed yet.',
  showAll: 'Show all',
  showEarlier: 'Show earlier changes',
  unknownActor: 'unknown',
  kinds: { administrator: ' (administrator)', token: ' (token)', 'legacy-token': ' (token)' } as Record<string, string>,
  outside: 'outside Bramble',
  about: (subjects: string) => ` · ${subjects}`,
  more: (count: number) => ` and ${count} more`,
  moreChanges: (count: number) => `and ${count} more changes`,
  notSealed: 'Not sealed yet',
  numberInChain: (number: number | string) => `Number ${number} in the chain`,
  request: 'request',
  value: 'Value',
  before: 'Before',
  after: 'After',
  intact: (sealed: number) => `All ${sealed.toLocaleString('en')} records are as they were written.`,
  faults: (faults: number) => `${faults} ${faults === 1 ? 'fault' : 'faults'}. \`bramble audit verify\` names them.`,
  verify: 'Verify the chain',
  verifying: 'Verifying …',
} as const;

/** What was done to a row, by the first word of what is recorded. */
const verbs: Readonly<Record<string, string>> = { insert: 'Added', update: 'Changed', delete: 'Removed' };

/** `insert account_group` as people read it. */
export function tableChangeText(operation: string): string {
  const [verb = '', ...table] = operation.replaceAll('_', ' ').split(' ');
  const known = verbs[verb];
  return known === undefined ? [verb, ...table].join(' ') : `${known}: ${table.join(' ')}`;
}

export function andMore(shown: string, more: number): string {
  return more > 0 ? `${shown} and ${more} more` : shown;
}

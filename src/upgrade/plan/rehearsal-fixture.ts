/** For tests of what follows from a rehearsal: one that said go; 62.5 s without administration, 61 s of them to expand the schema. */
import type { Rehearsal } from './rehearsal-record.ts';

export const testRehearsal: Rehearsal = {
  ...{ domainId: 'x', fromRelease: '1.0.0', toRelease: '1.1.0', rehearsedAt: 'x', rehearsedBy: 'ada' },
  backup: { id: 'x', file: '/b', takenAt: '2026-11-27T08:00:00Z' },
  ...{ rows: 900, accounts: 24, found: [], obstacles: [], moving: null },
  times: {
    ...{ restoreMs: 9000, expandMs: 61_000, oldStartMs: 800, newStartMs: 1500 },
    migrations: [
      { name: '002-devices', ms: 40_000, backfilledRows: 1 },
      { name: '003-index', ms: 5000, backfilledRows: 0 },
    ],
  },
};

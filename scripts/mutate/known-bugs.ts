/**
 * Faults that Bramble had or could easily get back, each as a small exact change of today's sources, with the tests that
 * have to see it. `npm run mutate` puts them back one by one; that every text still stands in the tree, and every title in
 * its file, is a test of its own (`known-bugs.test.ts`), so that the table cannot rot.
 *
 * Invariant: a bug changes behaviour that is promised somewhere, and the tree with it still loads.
 */
import { accessBugs } from './access-bugs.ts';
import { administrationBugs } from './administration-bugs.ts';
import { deviceBugs } from './device-bugs.ts';
import { edgeBugs } from './edge-bugs.ts';
import type { KnownBug } from './known-bug.ts';
import { openidBugs } from './openid-bugs.ts';
import { routerBugs } from './router-bugs.ts';
import { standingBugs } from './standing-bugs.ts';
import { upgradeBugs } from './upgrade-bugs.ts';

export const knownBugs: readonly KnownBug[] = [
  ...upgradeBugs,
  ...deviceBugs,
  ...edgeBugs,
  ...administrationBugs,
  ...openidBugs,
  ...accessBugs,
  ...routerBugs,
  ...standingBugs,
];

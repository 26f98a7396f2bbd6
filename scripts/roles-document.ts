/**
 * docs/roles.md, printed from `api/rights.ts` and the operations: which role may do what.
 *
 *     node scripts/roles-document.ts    writes the file anew
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Operation, Operations } from '../src/api/operation.ts';
import { resources } from '../src/api/operations.ts';
import {
  allRights,
  asksProof,
  canBeLimited,
  predefinedRoleNames,
  purposeOf,
  type Right,
  rightsOf,
} from '../src/api/rights.ts';

export const documentFile = path.join(path.dirname(import.meta.dirname), 'docs', 'roles.md');

const operations = Object.values<Operations>(resources).flatMap((resource) => Object.values<Operation>(resource));

export function rolesDocument(): string {
  return `# Roles and rights
<!-- Printed by scripts/roles-document.ts from src/api/rights.ts: change that, then run it. -->

Each operation of [REST](operations.md) takes one right, and \`bramble\` takes the same. Whoever lacks it is refused with
\`ERR_RIGHT_MISSING\` (403), before the body of the request is read; the message names the right and the roles that have it. A token of
\`bramble token create\` without a role, such as the one in \`admin.json\`, has every right.

*And a proof*: what gives away the domain or access to it, or takes access from others, asks who has signed in for a proof of at most 15 minutes
ago that it is he who sits there (\`ERR_PROOF_NEEDED\`); so does trusting a release, and ending somebody else's session. Tokens prove themselves with each
request. Nobody gives, changes, ends or removes what may do more than he.

## What each role may do
*In groups*: the right remains to who is limited to groups. He sees these groups, the accounts in them, and their devices, commands,
deliveries and moves, what happened to them, and what was asked of them; the rest is answered as if it did not exist. The status counts
these alone. A batch of moves is there for him if all its accounts are, and he makes accounts in his groups only
([0068](adr/0068-what-the-limited-see.md)).

${row('', ...predefinedRoleNames, 'in groups')}
${row('---', ...predefinedRoleNames.map(() => ':-:'), ':-:')}
${allRights.map((right) => row(`\`${right}\`: ${purposeOf(right)}`, ...marks(right))).join('\n')}

## What each operation takes
${row('operation', 'what it does', 'right')}
${row('---', '---', '---')}
${operations.map((operation) => row(`\`${operation.method} ${operation.path}\``, operation.summary, rightText(operation))).join('\n')}
`;
}

function marks(right: Right): string[] {
  const has = [...predefinedRoleNames.map((role) => rightsOf(role).includes(right)), canBeLimited(right)];
  return has.map((mark) => (mark ? '●' : ''));
}

function rightText(operation: Operation): string {
  const { right, furtherRight } = operation;
  const proof = asksProof(operation) ? ', and a proof' : '';
  if (right === 'open') return 'none, and no token';
  if (right === 'signed-in') return `none${proof}`;
  const rights = furtherRight === undefined ? `\`${right}\`` : `\`${right}\`, for some also \`${furtherRight}\``;
  return `${rights}${proof}`;
}

function row(...cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

if (import.meta.main) writeFileSync(documentFile, rolesDocument());

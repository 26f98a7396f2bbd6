/** Known bugs of access that was lost, taken or given away without a look at who does it. */
import type { KnownBug } from './known-bug.ts';

export const standingBugs: readonly KnownBug[] = [
  {
    name: 'lost-access-writes-on',
    file: 'src/access/audited-request.ts',
    find: 'if (actor !== null) await assertStanding(q, actor);',
    replace: '',
    seenBy: [
      {
        file: 'src/processes/administration/lost-access.test.ts',
        title: 'a token that was revoked, or may do less, while its request was on its way writes nothing',
      },
      {
        file: 'src/processes/administration/account-import.long.test.ts',
        title: 'an import whose token was revoked on the way is refused at its next rows, and nothing of it stands',
      },
    ],
  },
  {
    name: 'code-is-awaited-over-a-new-password',
    file: 'src/access/sign-in/sessions.ts',
    find: 'await q`delete from sign_in_challenge where',
    replace: 'await q`delete from sign_in_challenge where false and',
    seenBy: [
      {
        file: 'src/processes/administration/lost-access.test.ts',
        title: 'a change of password ends sign-ins that wait for their code',
      },
    ],
  },
  {
    name: 'unattended-page-gives-the-domain-away',
    file: 'src/access/guard.ts',
    find: 'if (asksProof(operation)) assertProven(actor);',
    replace: '',
    seenBy: [
      {
        file: 'src/processes/administration/taking-access.test.ts',
        title:
          'a session that proved nothing of late gives and takes no access, and nothing of the domain; a token goes on',
      },
    ],
  },
  {
    name: 'those-above-are-disarmed',
    file: 'src/access/roles.ts',
    find: '  const missing = rights.filter((right) => !actor.rights.has(right));\n',
    replace:
      '  const missing = actor.rights.has("access.write") ? [] : rights.filter((right) => !actor.rights.has(right));\n',
    seenBy: [
      {
        file: 'src/processes/administration/taking-access.test.ts',
        title: 'what may do more is neither changed nor ended nor removed',
      },
    ],
  },
  {
    name: 'anybody-runs-unproven-programs',
    file: 'src/upgrade/operations/routes.ts',
    find: "if (kind === 'unsigned' || kind === 'first') assertTrusting(actor);",
    replace: "if (kind === 'accepted') assertTrusting(actor);",
    seenBy: [
      {
        file: 'src/upgrade/operations/routes.long.test.ts',
        title: 'whose release nobody has vouched for is planned and started by who may say whose releases run',
      },
    ],
  },
];

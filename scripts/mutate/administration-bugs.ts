/** Known bugs of administration, audit, roles, releases and what is shown to people. */
import type { KnownBug } from './known-bug.ts';

export const administrationBugs: readonly KnownBug[] = [
  {
    name: 'a-copy-of-the-domain-tells',
    file: 'src/backup/isolated-copy.ts',
    find: '  await forgetTargets(db);\n',
    replace: '',
    seenBy: [
      {
        file: 'test/system/notices.test.ts',
        title: 'a backup that fails is told; a copy that is started to try a backup sends nothing of what waits in it',
      },
      {
        file: 'test/backups/tried-copy.test.ts',
        title: 'this release changes nothing of the copy, and reaches nobody',
      },
    ],
  },
  {
    name: 'a-tried-release-writes-into-the-copy',
    file: 'src/backup/release-trial.ts',
    find: '    await freeze(db, written);\n',
    replace: '',
    seenBy: [
      {
        file: 'test/backups/tried-copy.test.ts',
        title: 'this release changes nothing of the copy, and reaches nobody',
      },
    ],
  },
  {
    name: 'an-outage-makes-hosts-lost',
    file: 'src/notices/conditions.ts',
    find: 'then now() else c.since end',
    replace: 'then c.since else c.since end',
    seenBy: [{ file: 'src/notices/conditions.test.ts', title: 'a time in which nobody looked confirms nothing' }],
  },
  {
    name: 'refused-notices-stand-in-the-way',
    file: 'src/notices/outbox.ts',
    find: 'order by n.attempts, n.number limit 1',
    replace: 'order by n.number limit 1',
    seenBy: [
      { file: 'src/notices/delivery.test.ts', title: 'a notice that is always refused stands in no other’s way' },
    ],
  },
  {
    name: 'one-superuser-protects-all-lock-holders',
    file: 'src/upgrade/fence/release-fence.ts',
    find: 'if (!isInsufficientPrivilege(error)) throw error;',
    replace: 'throw error;',
    seenBy: [
      {
        file: 'src/upgrade/fence/release-fence.test.ts',
        title: 'a session that the coordinator’s role may not end blocks the fence, and is named',
      },
    ],
  },
  {
    name: 'bytes-before-tls-are-believed',
    file: 'src/database/server-socket.ts',
    find: 'if (answer.length !== 1 || answer[0] !== accepted)',
    replace: 'if (answer[0] !== accepted)',
    seenBy: [{ file: 'src/database/server-socket.long.test.ts', title: 'bytes that come before TLS are not believed' }],
  },
  {
    name: 'a-named-authority-is-not-asked',
    file: 'src/database/server-socket.ts',
    find: "rejectUnauthorized: wanted.verify !== 'nothing'",
    replace: "rejectUnauthorized: wanted.verify === 'name'",
    seenBy: [
      {
        file: 'src/database/server-socket.long.test.ts',
        title: 'a server proves what the address wants proved, or nothing is sent to it',
      },
    ],
  },
  {
    name: 'a-standby-is-taken-for-the-primary',
    file: 'src/database/session.ts',
    find: "(target === 'read-write' && isReadOnly)",
    replace: 'false',
    seenBy: [
      {
        file: 'src/database/failover.long.test.ts',
        title: 'a failover is followed: statements wait for the new primary, and nothing acknowledged is lost',
      },
    ],
  },
  {
    name: 'bytes-of-a-body-buy-silence',
    file: 'src/rest/body-deadline.ts',
    find: 'Math.min(patience.graceMs, leftMs - waitedMs + (chunk.byteLength * 1000) / patience.bytesPerSecond)',
    replace: 'leftMs - waitedMs + (chunk.byteLength * 1000) / patience.bytesPerSecond',
    seenBy: [
      {
        file: 'src/rest/body-deadline.test.ts',
        title: 'after 1048576 bytes silence is waited for as long as after none',
      },
    ],
  },
  {
    name: 'a-pool-of-one-grows-old',
    file: 'src/database/sessions.ts',
    find: 'options.once ? Number.POSITIVE_INFINITY : maxLifeMs',
    replace: 'maxLifeMs',
    seenBy: [
      {
        file: 'src/database/session-pool.test.ts',
        title: 'a pool of one keeps its session and its locks however long it lives; another one replaces old sessions',
      },
    ],
  },
  {
    name: 'written-without-the-release-lock',
    file: 'src/database/release-lock.ts',
    find: `tx\`select pg_advisory_xact_lock_shared(\${lockClass}, \${advisoryLock.administration})\``,
    replace: `tx\`select \${lockClass}::int, \${advisoryLock.administration}::int\``,
    seenBy: [
      {
        file: 'src/database/release-lock.test.ts',
        title: 'the fence waits for a transaction under way, whose writes stand before it',
      },
    ],
  },
  {
    name: 'written-without-a-record',
    file: 'src/access/audit/record.ts',
    find: 'if (schema?.audited === true) await insertOperation(tx, operation);',
    replace: '',
    seenBy: [
      {
        file: 'src/upgrade/steps/audited-upgrade.long.test.ts',
        title: 'each step of the coordinator that changes the domain is recorded, with who ordered the upgrade',
      },
    ],
  },
  {
    name: 'records-can-be-deleted',
    file: 'src/database/roles/role-rights.ts',
    find: "audit_record: { administration: 'select insert delete', coordinator: 'select insert' },",
    replace: "audit_record: { administration: 'select insert delete', coordinator: 'select insert delete' },",
    seenBy: [
      {
        file: 'src/database/roles/role-rights.test.ts',
        title:
          'what was recorded is changed by nobody, and removed by the administration alone, of what triggers let go',
      },
    ],
  },
  {
    name: 'write-is-sent-again',
    file: 'src/database/reads-again.ts',
    find: 'read = (/^select\\b/.test(text) || (/^with\\b/.test(text) && !writes.test(text))) && !acts.test(text);',
    replace: 'read = true;',
    seenBy: [
      {
        file: 'src/database/reads-again.test.ts',
        title: 'a write that is ended in the middle is not repeated, nor what locks',
      },
    ],
  },
  {
    name: 'changed-file-is-installed',
    file: 'src/release/archive.ts',
    find: 'if (contents === undefined || sha256(contents) !== digest) {',
    replace: 'if (contents === undefined) {',
    seenBy: [
      {
        file: 'src/release/archive.long.test.ts',
        title: 'a changed archive is refused: by its digest, by a list beside it, and by the digests in it',
      },
      { file: 'src/release/archive.long.test.ts', title: 'an installed release that was changed is refused' },
    ],
  },
  {
    name: 'terminal-obeys-a-device',
    file: 'src/base/shown-text.ts',
    find: 'return text\n    .replace(unseen, (character)',
    replace: 'return text\n    .replace(/(?!)/u, (character)',
    seenBy: [
      {
        file: 'src/base/shown-text.test.ts',
        title: 'whatever comes, nothing that a terminal obeys comes out, and a line stays one',
      },
    ],
  },
  {
    name: 'crashing-process-restarts-at-once',
    file: 'src/processes/supervisor/slot-step.ts',
    find: 'if (failure !== null && sameSpec(failure.spec, wanted) && failure.notBeforeMs > nowMs) {',
    replace: 'if (failure !== null && failure.notBeforeMs < 0) {',
    seenBy: [
      { file: 'src/processes/supervisor/slot-step.test.ts', title: 'a failure delays the same attempt and no other' },
    ],
  },
  {
    name: 'factor-owed-is-not-asked',
    file: 'src/access/guard.ts',
    find: "if (actor.owes !== null && withoutFactor !== 'always' && withoutFactor !== actor.owes) throw factorOwed(actor);",
    replace: '',
    seenBy: [
      {
        file: 'src/processes/administration/owed-factor.test.ts',
        title: 'a session without it is good for setting one up, and for nothing else',
      },
    ],
  },
  {
    name: 'password-sets-up-another-factor',
    file: 'src/access/sign-in/second-factor-rule.ts',
    find: "then 'proof' else 'enrolment' end",
    replace: "then 'enrolment' else 'enrolment' end",
    seenBy: [
      {
        file: 'src/processes/administration/owed-factor.test.ts',
        title: 'the password alone of who has a passkey neither acts nor sets up another factor',
      },
    ],
  },
  {
    name: 'last-factor-can-be-given-up',
    file: 'src/access/sign-in/second-factor-rule.ts',
    find: '  if (left.length === 0) return;\n',
    replace: '  if (left.length < 9) return;\n',
    seenBy: [
      {
        file: 'src/processes/administration/owed-factor.test.ts',
        title: 'the last one is not given up while it is asked for',
      },
    ],
  },
  {
    name: 'new-password-stands-in-for-the-authenticator',
    file: 'src/processes/administration/routes/own-access.ts',
    find: 'if (found.asksTotp) {',
    replace: 'if (found.name === null) {',
    seenBy: [
      {
        file: 'src/processes/administration/owed-factor.test.ts',
        title: 'tokens without a role are asked nothing, and let in again who has lost his',
      },
    ],
  },
];

/** Known bugs of upgrade and moves. */
import type { KnownBug } from './known-bug.ts';

export const upgradeBugs: readonly KnownBug[] = [
  {
    name: 'coordinator-moves-owe-nothing',
    file: 'src/deliveries/move-deliveries.ts',
    find: 'accountIds: [move.accountId],',
    replace: 'accountIds: [],',
    seenBy: [
      {
        file: 'src/processes/coordinator/coordinator-process.long.test.ts',
        title:
          'a coordinator process that is killed (kill -9) at each state is followed by one that goes on to the end',
      },
    ],
  },
  {
    name: 'reverse-to-another-home',
    file: 'src/upgrade/steps/homeward-moves.ts',
    find: 'on h.id = coalesce(w.id, n.replaces_id)',
    replace: 'on h.id = (select i.id from instance i where i.retired_at is null order by i.name limit 1)',
    seenBy: [
      {
        file: 'src/processes/coordinator/coordinator.long.test.ts',
        title:
          'reversed in the middle, every account is back, the new instances are gone and the old release administers',
      },
    ],
  },
  {
    name: 'reverse-to-a-lost-home',
    file: 'src/upgrade/steps/homeward-moves.ts',
    find: 'components.filter(({ alive }) => alive).map(',
    replace: 'components.map(',
    seenBy: [
      {
        file: 'src/upgrade/steps/turned-against.long.test.ts',
        title:
          'reversed with an old instance gone, its accounts stay where they are served, the others go home, and it is named',
      },
    ],
  },
  {
    name: 'replaced-process-compiles',
    file: 'src/deliveries/release-store.ts',
    find: 'return by.isReplaced?.(q) ?? q`false`;',
    replace: 'return by.isReplaced === undefined ? q`false` : q`false`;',
    seenBy: [
      {
        file: 'src/deliveries/policy-service.test.ts',
        title: 'a process whose successor serves compiles and settles nothing any more, until that one is gone',
      },
    ],
  },
  {
    name: 'reverse-forgets-where-from',
    file: 'src/upgrade/steps/homeward-moves.ts',
    find: 'on h.id = coalesce(w.id, n.replaces_id)',
    replace: 'on h.id = n.replaces_id',
    seenBy: [
      {
        file: 'src/processes/coordinator/coordinator.long.test.ts',
        title:
          'reversed in the middle, every account is back, the new instances are gone and the old release administers',
      },
    ],
  },
  {
    name: 'transition-ignores-generation',
    file: 'src/upgrade/state/upgrade-store.ts',
    find: `and state = \${upgrade.state} and generation = \${upgrade.generation}\n`,
    replace: `and state = \${upgrade.state}\n`,
    seenBy: [
      {
        file: 'src/upgrade/state/upgrade-store.test.ts',
        title: 'a change that was decided before the same state came again is a conflict',
      },
    ],
  },
  {
    name: 'step-ignores-generation',
    file: 'src/upgrade/steps/step-context.ts',
    find: 'if (upgrade.generation !== read.generation || upgrade.state !== read.state) throw',
    replace: 'if (upgrade.state !== read.state) throw',
    seenBy: [
      {
        file: 'src/processes/coordinator/coordinator.long.test.ts',
        title: 'a step that was decided before the same state came again does nothing',
      },
    ],
  },
  {
    name: 'finalize-accepted-with-accounts-left',
    file: 'src/upgrade/operations/operator-actions.ts',
    find: 'const left = (await listInstancesBehind(tx, upgrade.toRelease)).filter(({ accounts }) => accounts > 0);',
    replace: `const left = (await listInstancesBehind(tx, upgrade.toRelease)).filter(
      ({ id, accounts }) => accounts > 0 && upgrade.progress.newInstances.some(({ replacesId }) => replacesId === id),
    );`,
    seenBy: [
      {
        file: 'src/upgrade/steps/instance-steps.long.test.ts',
        title: 'finalizing is refused while accounts are at any instance of an earlier release, by its name',
      },
    ],
  },
  {
    name: 'replaced-without-a-second-look',
    file: 'src/upgrade/steps/finalize-steps.ts',
    find: 'if ((await lockOccupied(tx, next.names)).length > 0) return advanced;',
    replace: '',
    seenBy: [
      {
        file: 'src/upgrade/steps/instance-steps.long.test.ts',
        title: 'an account that comes between the last look and the replacement is handed over first',
      },
    ],
  },
  {
    name: 'window-of-passed-waves-stays',
    file: 'src/upgrade/state/wave-store.ts',
    find: `or not exists (select 1 from upgrade_wave o where o.upgrade_id = w.upgrade_id and o.state <> 'passed'))`,
    replace: ')',
    seenBy: [
      {
        file: 'src/upgrade/steps/wave-steps.long.test.ts',
        title: 'what paused it after the waves counts no more once it is resumed: it can be finalized',
      },
    ],
  },
  {
    name: 'accepted-wave-passes-unmoved',
    file: 'src/upgrade/operations/operator-actions.ts',
    find: 'await acceptWave(tx, upgrade.id, answered.wave, order.by);',
    replace: `await tx\`update upgrade_wave set state = 'passed' where upgrade_id = \${upgrade.id} and number = \${answered.wave}\`;`,
    seenBy: [
      {
        file: 'src/upgrade/steps/wave-steps.long.test.ts',
        title: 'a wave that an operator answers for moves to its end, and what befell it pauses nothing later',
      },
    ],
  },
  {
    name: 'plan-not-compared-at-start',
    file: 'src/upgrade/steps/prepare-steps.ts',
    find: `const compared = await comparePlan(context, upgrade);
  if (compared !== undefined) return compared;`,
    replace: '',
    seenBy: [
      {
        file: 'src/upgrade/plan/plan-comparison.long.test.ts',
        title: 'what came after the plan is compared and checked before anything is changed',
      },
    ],
  },
  {
    name: 'joining-instance-without-gate',
    file: 'src/upgrade/waves/latecomers.ts',
    find: `wave !== undefined || last.state === 'waiting' || goTo === 'last-wave' ? last.number : number;`,
    replace: 'last.number;',
    seenBy: [
      {
        file: 'src/upgrade/plan/plan-comparison.long.test.ts',
        title: 'an instance that joins after the last wave has a wave of its own, and a gate',
      },
    ],
  },
  {
    name: 'lease-not-asked-at-commit',
    file: 'src/upgrade/state/upgrade-store.ts',
    find: 'if (upgrade === undefined || upgrade.leaseHolder !== holder) throw',
    replace: 'if (upgrade === undefined) throw',
    seenBy: [
      {
        file: 'src/upgrade/state/upgrade-store.test.ts',
        title: 'the lease is one holder’s until it runs out or is given back; only that one’s transactions commit',
      },
    ],
  },
  {
    name: 'fence-without-its-lock',
    file: 'src/upgrade/fence/release-fence.ts',
    find: `await tx\`select pg_advisory_xact_lock(\${lockClass}, \${lock})\`;`,
    replace: '',
    seenBy: [
      {
        file: 'src/upgrade/fence/release-fence.test.ts',
        title:
          'a stopped administration service with an open transaction cannot commit after the fence, once let go on',
      },
    ],
  },
  {
    name: 'release-read-before-the-lock',
    file: 'src/database/release-lock.ts',
    find: 'await Promise.all([lockShared(tx), tx<{ release: string }[]>`select release from domain`]);',
    replace:
      '(await Promise.all([tx<{ release: string }[]>`select release from domain`, lockShared(tx)])).reverse() as [unknown, { release: string }[]];',
    seenBy: [
      {
        file: 'src/database/release-lock.test.ts',
        title: 'a transaction that waited for the fence sees the release that was set behind it',
      },
    ],
  },
  {
    name: 'move-without-its-deliveries',
    file: 'src/moves/move-runner.ts',
    find: '      options.oweDeliveries(tx, move),\n    ]);',
    replace: '      options.oweDeliveries(options.db as never, move).catch(() => undefined),\n    ] as never);',
    seenBy: [
      { file: 'src/moves/move-store.test.ts', title: 'what is owed is of one transaction with the change of owner' },
    ],
  },
  {
    name: 'move-leaves-the-epoch',
    file: 'src/accounts/account-owner.ts',
    find: `set instance_id = \${change.toInstanceId}, epoch = epoch + 1`,
    replace: `set instance_id = \${change.toInstanceId}, epoch = epoch`,
    seenBy: [
      {
        file: 'src/moves/move-runner.test.ts',
        title: 'a move changes the owner, raises the epoch and carries the queue',
      },
    ],
  },
  {
    name: 'gate-forgets-who-is-silent',
    file: 'src/upgrade/gates/gate-deliveries.ts',
    find: `d.handed_out_at < clock_timestamp() - make_interval(secs => \${silentAfterSeconds}) as old`,
    replace: `d.state <> 'released' and d.handed_out_at < clock_timestamp() - make_interval(secs => \${silentAfterSeconds}) as old`,
    seenBy: [
      {
        file: 'src/upgrade/gates/gate-deliveries.test.ts',
        title: 'a device that took a delivery and does not answer is silent, also once it was taken back',
      },
    ],
  },
  {
    name: 'gate-excused-by-anybody',
    file: 'src/upgrade/gates/gate-interruptions.ts',
    find: 'interruptedAt.some(isSame)).length * 2 > company.length',
    replace: 'interruptedAt.some(isSame)).length > 0',
    seenBy: [
      {
        file: 'src/upgrade/gates/gate-interruptions.test.ts',
        title: 'nothing hides behind other processes of the new release, nor behind one old process among several',
      },
    ],
  },
  {
    name: 'hosts-keep-what-was-emptied',
    file: 'src/upgrade/plan/reuse-plan.ts',
    find: 'if (!(reuseInstances ?? spansHosts)) return all;',
    replace: 'if (!(reuseInstances ?? false)) return all;',
    seenBy: [
      {
        file: 'src/upgrade/plan/planned-instances.test.ts',
        title: 'over two hosts emptied instances become destinations by default, and each host keeps as many as it had',
      },
    ],
  },
  {
    name: 'added-destination-takes-assigned-accounts',
    file: 'src/upgrade/waves/added-destination.ts',
    find: 'Object.keys(progress.assignments)',
    replace: '[]',
    seenBy: [
      {
        file: 'src/upgrade/steps/added-destinations.long.test.ts',
        title: 'one that is added on the way shares what has not begun, but not what was assigned by hand',
      },
    ],
  },
  {
    name: 'instance-by-hand-stays-in-the-new-release',
    file: 'src/upgrade/steps/reuse-steps.ts',
    find: "const added = newInstances.find(({ origin }) => origin === 'by-hand');",
    replace: 'const added = newInstances.find(() => false);',
    seenBy: [
      {
        file: 'src/upgrade/steps/added-destinations.long.test.ts',
        title:
          'one that is added by hand takes what is assigned, beside new ones, and stays in the end, or in the release before',
      },
    ],
  },
  {
    name: 'others-go-first-in-silence',
    file: 'src/upgrade/plan/canaries.ts',
    find: 'if (present === 0) return',
    replace: 'if (present < 0) return',
    seenBy: [
      {
        file: 'src/upgrade/steps/wave-steps.long.test.ts',
        title: 'canaries that are gone when the waves are divided pause it, until others are chosen',
      },
    ],
  },
];

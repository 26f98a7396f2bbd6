/** Known bugs of what instances do for devices: fence, budget, commands, activation. */
import type { KnownBug } from './known-bug.ts';

const connectStatement = 'src/devices/connect-statement.test.ts';
const renewal = 'src/processes/server/identity-renewal.long.test.ts';
const renewalTries = 'src/processes/server/renewal-tries.long.test.ts';

export const deviceBugs: readonly KnownBug[] = [
  {
    name: 'suspects-without-account-lock',
    file: 'src/deliveries/suspects.ts',
    find: '         for share of a skip locked\n         for update of d skip locked\n    ), free as',
    replace: '         for update of d skip locked\n    ), free as',
    seenBy: [
      {
        file: 'src/deliveries/budget.test.ts',
        title: 'an account whose owner is being changed keeps what it has until that is done',
      },
    ],
  },
  {
    name: 'taken-back-without-account-lock',
    file: 'src/deliveries/suspects.ts',
    find: '         for share of a skip locked\n         for update of c skip locked\n',
    replace: '         for update of c skip locked\n',
    seenBy: [
      {
        file: 'src/deliveries/budget.test.ts',
        title: 'an account whose owner is being changed keeps what it has until that is done',
      },
    ],
  },
  {
    name: 'what-an-instance-without-turns-forgets-is-kept',
    file: 'src/deliveries/service-chores.ts',
    find: '        await takeBackForgotten(db, budget.suspectAfterSeconds);\n',
    replace: '',
    seenBy: [
      {
        file: 'src/deliveries/policy-service.test.ts',
        title: 'what silent devices of an instance without turns hold is taken back by another instance’s turns',
      },
    ],
  },
  {
    name: 'permits-free-after-30-seconds',
    file: 'src/deliveries/permits.ts',
    find: `         and not exists (select 1 from delivery d where d.id = p.delivery_id and \${deliveryStates.in(q, 'with-device', 'd')})
    ), locked`,
    replace: `         and (p.taken_at < clock_timestamp() - interval '30 seconds'
              or not exists (select 1 from delivery d where d.id = p.delivery_id and \${deliveryStates.in(q, 'with-device', 'd')}))
    ), locked`,
    seenBy: [
      {
        file: 'src/deliveries/budget.test.ts',
        title: 'permits of deliveries that are settled or gone are collected, all others are left',
      },
    ],
  },
  {
    name: 'answer-keeps-its-permits',
    file: 'src/devices/connect-statement-parts.ts',
    find: 'from settled s where p.delivery_id = s.id\n',
    replace: 'from settled s where p.delivery_id = s.id and false\n',
    seenBy: [
      {
        file: connectStatement,
        title:
          'a budgeted command leaves only with permits, other commands go before it, and its answer gives them back',
      },
    ],
  },
  {
    name: 'domain-rate-not-paid',
    file: 'src/deliveries/release-store.ts',
    find: 'Math.min(availableTokens(buckets.instance), availableTokens(buckets.domain))',
    replace: 'availableTokens(buckets.instance)',
    seenBy: [
      {
        file: 'src/deliveries/policy-service.test.ts',
        title: 'what several instances release together is what the domain’s rate pays for',
      },
    ],
  },
  {
    name: 'release-ignores-epoch',
    file: 'src/deliveries/release-store.ts',
    find: 'join fence f on f.id = p.account_id and f.epoch = p.epoch',
    replace: 'join fence f on f.id = p.account_id',
    seenBy: [
      {
        file: 'src/deliveries/policy-service.test.ts',
        title: 'what was compiled before a debt was renewed, or before its account moved, is not released',
      },
    ],
  },
  {
    name: 'fenced-transaction-without-lock',
    file: 'src/accounts/account-fence.ts',
    find: '         for share of a`;',
    replace: '`;',
    seenBy: [
      {
        file: 'src/accounts/account-fence.test.ts',
        title: 'a mover that commits while the fence waits for it leaves nothing to write',
      },
    ],
  },
  {
    name: 'batch-without-account-lock',
    file: 'src/accounts/account-fence.ts',
    find: '         for share of a skip locked`;',
    replace: '`;',
    seenBy: [{ file: connectStatement, title: 'a connect that began before a move committed writes nothing after it' }],
  },
  {
    name: 'answer-counts-twice',
    file: 'src/devices/connect-statement-parts.ts',
    find: `         and \${db.unsafe(pendingCommand)}
      returning c.delivery_id`,
    replace: '      returning c.delivery_id',
    seenBy: [
      {
        file: connectStatement,
        title: 'an idle device gets its oldest command, its answer is recorded once, and then there is nothing to do',
      },
    ],
  },
  {
    name: 'put-off-command-hides-others',
    file: 'src/devices/connect-statement-parts.ts',
    find: `(\${pending} and \${commandStates.text('next', 'c')} order by c.urgent desc, c.sequence limit 1)`,
    replace: `(\${pending} and \${commandStates.text('pending', 'c')} order by c.urgent desc, c.sequence limit 1)`,
    seenBy: [
      {
        file: connectStatement,
        title: 'in one session no command is handed out twice, and what was answered NotNow hides no other',
      },
    ],
  },
  {
    name: 'any-certificate-is-the-devices',
    file: 'src/devices/idle-statement.ts',
    find: `case when d.identity_fingerprint is distinct from r.fingerprint then 'wrong-identity'`,
    replace: `case when false then 'wrong-identity'`,
    seenBy: [
      {
        file: connectStatement,
        title: 'unknown tokens, other certificates, other owners and ended enrolments are told apart',
      },
    ],
  },
  {
    name: 'digest-before-selector',
    file: 'src/activation/password-checks.ts',
    find: `if (found.selector !== null && found.selector !== activationSelectorOf(password)) return { kind: 'selector' };`,
    replace: '',
    seenBy: [
      {
        file: 'src/activation/activation.long.test.ts',
        title: 'guesses without the selector cost no try and no digest, however many there are',
      },
    ],
  },
  {
    name: 'try-taken-after-the-digest',
    file: 'src/activation/password-checks.ts',
    find: 'set tries_left = p.tries_left - 1\n',
    replace: 'set tries_left = p.tries_left\n',
    seenBy: [
      {
        file: 'src/activation/activation.long.test.ts',
        title: 'of 20 guesses at once exactly 5 are compared, and then even the right password is refused',
      },
    ],
  },
  {
    name: 'scep-answer-outlives-its-situation',
    file: 'src/activation/scep-service.ts',
    find: '    identityFingerprint,\n    scepChallenge,',
    replace: '    identityFingerprint === null,\n    scepChallenge,',
    seenBy: [
      {
        file: 'src/activation/scep-service.long.test.ts',
        title: 'an answer is not given again once another identity is the present one',
      },
    ],
  },
  {
    name: 'offer-for-every-key',
    file: 'src/activation/identity-issuer.ts',
    find: 'return isSameKey(device, request) && device.identityCertificate !== null\n',
    replace: 'return device.identityCertificate !== null\n',
    seenBy: [
      {
        file: 'src/activation/scep-service.long.test.ts',
        title: 'the same key gets the same certificate again, also at once, and another key is refused',
      },
    ],
  },
  {
    name: 'repeats-counted-for-anybody',
    file: 'src/devices/repeated-messages.ts',
    find: 'join device d on d.id = m.device_id join fence f on f.id = d.account_id',
    replace: 'join device d on d.id = m.device_id',
    seenBy: [
      {
        file: 'src/devices/repeated-messages.test.ts',
        title: 'messages of several devices are counted each for its own device, and only by the owner',
      },
    ],
  },
  {
    name: 'lost-batch-is-refused',
    file: 'src/devices/connect-batch-sending.ts',
    find: 'const outcomes = await onAnotherConnection(send, send);',
    replace: 'const outcomes = await send();',
    seenBy: [
      {
        file: 'src/devices/connect-batch.test.ts',
        title: 'a batch whose session was lost is sent again as it was, six times in all at most',
      },
    ],
  },
  {
    name: 'authenticate-of-a-renewal-clears',
    file: 'src/devices/announcements.ts',
    find: 'const renews = await isRenewing(tx, device.deviceId);',
    replace: 'const renews = (await isRenewing(tx, device.deviceId)) && false;',
    seenBy: [
      {
        file: renewal,
        title: 'a device renews its identity in the last third of its time, and its new identity replaces the old',
      },
    ],
  },
  {
    name: 'renewal-challenge-good-before-it-is-handed-out',
    file: 'src/devices/device-identity.ts',
    find: `(c.state = 'sent' and c.sent_at > `,
    replace: `(c.state in ('queued', 'sent') and coalesce(c.sent_at, clock_timestamp()) > `,
    seenBy: [{ file: renewalTries, title: 'a challenge is good only while its profile is with the device' }],
  },
  {
    name: 'identity-replaced-before-it-is-used',
    file: 'src/activation/identity-issuer.ts',
    find: 'if (signer === device.identityFingerprint && (await this.#options.renewalActive())) {',
    replace: 'if (signer === device.identityFingerprint && (await this.#options.renewalActive()) && false) {',
    seenBy: [
      {
        file: renewal,
        title:
          'a device that asks for a new identity by itself, signing with the present one, keeps both until it uses the new one',
      },
    ],
  },
  {
    name: 'renewals-take-the-whole-budget',
    file: 'src/deliveries/renewal-pace.ts',
    find: 'const shareOfBudget = 1 / 4;',
    replace: 'const shareOfBudget = 1;',
    seenBy: [
      {
        file: 'src/deliveries/owe-renewals.test.ts',
        title: 'renewals take a quarter of rates and slots, and devices that are away none',
      },
    ],
  },
];

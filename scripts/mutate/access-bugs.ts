/** Known bugs of who may ask what: guard, scope, sign-in, lock-out, sessions, and requests that another page forges. */
import type { KnownBug } from './known-bug.ts';

const rooms = 'src/processes/administration';
const rolesWalk = `${rooms}/roles-walk.test.ts`;
const scope = `${rooms}/scope.test.ts`;
const limitedAnswers = `${rooms}/limited-answers.test.ts`;
const signIn = `${rooms}/sign-in.test.ts`;
const secondFactor = `${rooms}/second-factor.test.ts`;
const passkeys = `${rooms}/passkeys.test.ts`;
const outside = 'what is outside is answered as what does not exist';
const othersDo = 'whatever others do, he is answered the same';
const ownPage = 'a request with a cookie is refused when it comes from another page, or under a name that is not ours';
const restsOrOld = 'a session ends when it rests too long, when it is too old, and when the password changes elsewhere';

const guardBugs: readonly KnownBug[] = [
  {
    name: 'rights-are-not-asked-for',
    file: 'src/access/guard.ts',
    find: "if (right !== 'signed-in') assertRight(",
    replace: "if (right === 'signed-in') assertRight(",
    seenBy: [{ file: rolesWalk, title: 'the role junior-helpdesk may do what its column says' }],
  },
  {
    name: 'a-new-operation-is-open-to-the-limited',
    file: 'src/access/guard.ts',
    find: 'rights.has(right) && (knowsGroups || groups === null)',
    replace: 'rights.has(right)',
    seenBy: [
      {
        file: 'src/access/guard.test.ts',
        title: 'who is limited is refused what does not know groups, whatever his rights',
      },
    ],
  },
  {
    name: 'limited-roles-keep-every-right',
    file: 'src/access/roles.ts',
    find: 'limited ? rights.filter(canBeLimited) : rights',
    replace: 'rights',
    seenBy: [{ file: scope, title: 'rights that know no groups are lost with the limit, whatever the role' }],
  },
  {
    name: 'rights-are-given-that-one-lacks',
    file: 'src/access/roles.ts',
    find: 'rights.filter((right) => !actor.rights.has(right));\n  if (missing.length === 0) return;',
    replace: 'rights.filter((right) => !actor.rights.has(right));\n  if (missing.length >= 0) return;',
    seenBy: [{ file: `${rooms}/routes/tokens.test.ts`, title: 'nobody gives rights that he does not have' }],
  },
];

const scopeBugs: readonly KnownBug[] = [
  {
    name: 'what-a-path-names-is-not-looked-for',
    file: `${rooms}/scope.ts`,
    find: 'if (missing !== null) throw missing;',
    replace: '',
    seenBy: [{ file: scope, title: outside }],
  },
  {
    name: 'any-group-will-do',
    file: 'src/accounts/account-scope.ts',
    find: `seen.account_id = \${accountId} and seen.group_id = any(\${within as string[]}::uuid[]) limit 1`,
    replace: `seen.account_id = \${accountId} limit 1`,
    seenBy: [{ file: scope, title: outside }],
  },
  {
    name: 'an-account-is-taken-into-ones-group',
    file: `${rooms}/scope.ts`,
    find: '(await group(q, params, within)) ?? (await account(q, { ...params, name: params.account }, within))',
    replace: 'await group(q, params, within)',
    seenBy: [{ file: scope, title: outside }],
  },
  {
    name: 'one-account-opens-a-batch',
    file: 'src/moves/batch-scope.ts',
    find: `and not \${isAccountWithin(q, q\`m.account_id\`, within)}))`,
    replace: 'and false))',
    seenBy: [{ file: scope, title: 'moves take accounts of the groups only, and a batch with others is not there' }],
  },
  {
    name: 'no-groups-are-no-limit',
    file: 'src/access/api-tokens.ts',
    find: 'case when t.scoped then array(select group_id from api_token_group where token_id = t.id) end',
    replace: '(select array_agg(group_id) from api_token_group where token_id = t.id)',
    seenBy: [{ file: limitedAnswers, title: 'when the last of his groups is gone, he sees nothing' }],
  },
  {
    name: 'an-event-is-seen-by-who-sees-one-of-two',
    file: 'src/devices/event-scope.ts',
    find: 'select bool_and(',
    replace: 'select bool_or(',
    seenBy: [{ file: limitedAnswers, title: othersDo }],
  },
  {
    name: 'open-deliveries-of-others-are-counted',
    file: 'src/deliveries/delivery-figures.ts',
    find: ` and \${isAccountWithin(q, q\`d.account_id\`, within)}`,
    replace: '',
    seenBy: [{ file: limitedAnswers, title: othersDo }],
  },
  {
    name: 'names-inherit-a-past',
    file: 'src/accounts/account-scope.ts',
    find: ` and named.created_at <= \${at}`,
    replace: '',
    seenBy: [
      {
        file: limitedAnswers,
        title: 'who has the name of an account that was deleted does not inherit what happened to that one',
      },
    ],
  },
  {
    name: 'the-stream-tells-when-others-change',
    file: 'src/rest/stream-hub.ts',
    find: 'tellChanged(topic, seesAll);',
    replace: 'tellChanged(topic, () => true);',
    seenBy: [
      {
        file: 'src/rest/stream-hub.test.ts',
        title:
          'who is limited to groups is told of what speaks of them, and to look again when it is time, not when something changes',
      },
    ],
  },
];

const signInBugs: readonly KnownBug[] = [
  {
    name: 'one-time-codes-are-good-twice',
    file: 'src/access/sign-in/one-time-code.ts',
    find: "c.purpose <> 'recovery' and c.used_at is null and",
    replace: "c.purpose <> 'recovery' and",
    seenBy: [{ file: 'src/cli/administrators.test.ts', title: 'an invitation is good for once' }],
  },
  {
    name: 'codes-of-an-authenticator-are-good-twice',
    file: 'src/access/sign-in/totp.ts',
    find: ` and totp_counter < \${step}\``,
    replace: '`',
    seenBy: [
      { file: secondFactor, title: 'a code opens the session once, in the browser that sent the password' },
      { file: secondFactor, title: 'the same code at once in two browsers opens one session' },
    ],
  },
  {
    name: 'a-passkey-is-for-any-page',
    file: 'src/access/sign-in/webauthn.ts',
    find: "said['origin'] !== origin || said['crossOrigin'] === true",
    replace: "said['crossOrigin'] === true",
    seenBy: [{ file: passkeys, title: 'what is signed otherwise is refused' }],
  },
  {
    name: 'a-passkey-needs-nobody-there',
    file: 'src/access/sign-in/webauthn.ts',
    find: 'flag.present | flag.verified | also',
    replace: 'flag.present | also',
    seenBy: [{ file: passkeys, title: 'what is signed otherwise is refused' }],
  },
  {
    name: 'a-passkey-need-not-sign',
    file: 'src/access/sign-in/webauthn.ts',
    find: "throw refused('its signature is wrong');",
    replace: ';',
    seenBy: [{ file: passkeys, title: 'what is signed otherwise is refused' }],
  },
];

const lockOutBugs: readonly KnownBug[] = [
  {
    name: 'strangers-lock-out-a-known-browser',
    file: 'src/access/sign-in/tries.ts',
    find: 'browser: known ? digest : null }',
    replace: 'browser: null }',
    seenBy: [
      { file: signIn, title: 'guesses are slowed where they come from; a browser that has signed in before is not' },
    ],
  },
  {
    name: 'any-cookie-is-a-known-browser',
    file: 'src/access/sign-in/tries.ts',
    find: 'const known = digest !== null && (await isKnownBrowser(desk.db, digest, name));',
    replace: 'const known = digest !== null;',
    seenBy: [{ file: signIn, title: 'a cookie that nobody gave makes no browser known' }],
  },
  {
    name: 'tries-are-never-used-up',
    file: 'src/access/sign-in/try-limits.ts',
    find: `where \${openAt} <= now()\`;`,
    replace: '`;',
    seenBy: [{ file: signIn, title: 'guesses at once get no more tries than one after the other' }],
  },
  {
    name: 'the-password-gives-tries-of-codes',
    file: 'src/access/sign-in/steps.ts',
    find: `and c.tries < \${stepTries}`,
    replace: '',
    seenBy: [
      {
        file: secondFactor,
        title: 'who has the password cannot guess codes without end, and cannot keep the owner out',
      },
    ],
  },
];

const sessionBugs: readonly KnownBug[] = [
  {
    name: 'sessions-never-rest',
    file: 'src/access/sign-in/sessions.ts',
    find: `\n  and s.seen_at > now() - make_interval(mins => \${sessionTimes.restsMinutes})\``,
    replace: '`',
    seenBy: [{ file: signIn, title: restsOrOld }],
  },
  {
    name: 'sessions-never-grow-old',
    file: 'src/access/sign-in/sessions.ts',
    find: 's.ended_at is null and s.expires_at > now()\n',
    replace: 's.ended_at is null\n',
    seenBy: [{ file: signIn, title: restsOrOld }],
  },
  {
    name: 'an-open-page-keeps-its-session',
    file: 'src/access/sign-in/desk.ts',
    find: 'if (found.unseen && isAttended(request))',
    replace: 'if (found.unseen)',
    seenBy: [{ file: signIn, title: 'what a page asks while nobody is at it, and a stream, keep no session open' }],
  },
  {
    name: 'the-session-before-goes-on',
    file: 'src/access/sign-in/start-session.ts',
    find: 'if (before !== undefined) await endSessionOfSecret(tx, before);',
    replace: '',
    seenBy: [
      { file: signIn, title: 'sessions are listed and ended; who signs out or signs in anew leaves no session behind' },
    ],
  },
  {
    name: 'a-proof-leaves-the-secret',
    file: 'src/access/sign-in/sessions.ts',
    find: `set digest = \${secretDigest(secret)}, seen_at = now()`,
    replace: 'set seen_at = now()',
    seenBy: [
      { file: signIn, title: 'a proof goes on under another secret, and the twenty-first session ends the oldest' },
    ],
  },
  {
    name: 'a-proof-lasts-for-ever',
    file: 'src/access/sign-in/proof.ts',
    find: 'if (provenAt !== null && now - provenAt.getTime() < proofMinutes * 60_000) return;',
    replace: 'if (provenAt !== null) return;',
    seenBy: [{ file: secondFactor, title: 'a proof asks for both, and access is given with it only' }],
  },
  {
    name: 'streams-outlive-their-session',
    file: 'src/access/standing.ts',
    find: `and a.state = 'active' and \${isOpen(q)}\``,
    replace: "and a.state = 'active'`",
    seenBy: [{ file: `${rooms}/routes/events.test.ts`, title: 'a session that has ended takes its streams along' }],
  },
];

const forgeryBugs: readonly KnownBug[] = [
  {
    name: 'any-page-asks-with-the-cookie',
    file: 'src/access/sign-in/own-pages.ts',
    find: 'if (!foreign && (origin === undefined ? reads : isOwn(origin, request))) return;',
    replace: 'if (!foreign) return;',
    seenBy: [{ file: signIn, title: ownPage }],
  },
  {
    name: 'pages-of-the-same-site-are-ours',
    file: 'src/access/sign-in/own-pages.ts',
    find: "site !== undefined && site !== 'same-origin' && !(reads && site === 'none')",
    replace: 'false',
    seenBy: [{ file: signIn, title: ownPage }],
  },
  {
    name: 'any-name-is-ours',
    file: 'src/access/sign-in/own-pages.ts',
    find: 'if (!isOwnName(host, arrival(request))) {',
    replace: 'if (host === undefined) {',
    seenBy: [{ file: signIn, title: ownPage }],
  },
  {
    name: 'scripts-read-the-cookie',
    file: 'src/access/sign-in/cookies.ts',
    find: 'Path=/; Secure; HttpOnly; SameSite',
    replace: 'Path=/; Secure; SameSite',
    seenBy: [
      { file: signIn, title: 'a session is a cookie that scripts and other sites do not get, and says who asks' },
    ],
  },
];

export const accessBugs: readonly KnownBug[] = [
  ...guardBugs,
  ...scopeBugs,
  ...signInBugs,
  ...lockOutBugs,
  ...sessionBugs,
  ...forgeryBugs,
];

/** Known bugs of signing in at OpenID providers. */
import type { KnownBug } from './known-bug.ts';

const answers = 'src/processes/administration/openid-answers.test.ts';
const signIn = 'src/processes/administration/openid-sign-in.test.ts';

export const openidBugs: readonly KnownBug[] = [
  {
    name: 'id-tokens-count-without-their-signature',
    file: 'src/access/openid/provider-client.ts',
    find: 'execute: [client.enableNonRepudiationChecks],',
    replace: 'execute: [],',
    seenBy: [
      {
        file: answers,
        title: 'an ID token that is forged, of somebody else, too old or for another question is refused',
      },
    ],
  },
  {
    name: 'one-provider-answers-for-another',
    file: 'src/access/openid/sign-in.ts',
    find: '!== away.redirectUri) {',
    replace: '=== undefined) {',
    seenBy: [
      {
        file: answers,
        title: 'an answer of another provider is refused: by its issuer, and by the address that it came to',
      },
    ],
  },
  {
    name: 'an-answer-of-nobody-ends-a-sign-in',
    file: 'src/access/openid/sign-in.ts',
    find: "if (states.length !== 1 || !isSameText(states[0] ?? '', tiesOf(secret).state)) throw notBegun();",
    replace: '',
    seenBy: [{ file: answers, title: 'an answer that somebody else made up ends nothing, and does not sign in' }],
  },
  {
    name: 'who-lost-his-rule-goes-on',
    file: 'src/access/openid/sign-in.ts',
    find: "if (isBrambleError(error, 'ERR_OPENID_REFUSED')) await endAccess(desk, request, identity);",
    replace: '',
    seenBy: [
      {
        file: signIn,
        title: 'role and groups are those of each sign-in; whom no rule fits any more is out, with all that was open',
      },
    ],
  },
  {
    name: 'a-provider-lets-in-who-is-disabled',
    file: 'src/access/openid/identities.ts',
    find: " and state = 'active' for update",
    replace: ' for update',
    seenBy: [{ file: signIn, title: 'whoever is disabled here stays out, whatever the provider says' }],
  },
  {
    name: 'an-old-sign-in-proves-who-is-there',
    file: 'src/access/openid/sign-in.ts',
    find: "typeof at === 'number' && Math.abs(at) < 1e11 ? at * 1000 : 0",
    replace: 'Date.now()',
    seenBy: [
      { file: answers, title: 'a provider that did not ask anew proves nothing' },
      {
        file: signIn,
        title: 'who signs in at a provider has no other way in, and gives access only after it asked him anew',
      },
    ],
  },
  {
    name: 'a-limited-rule-becomes-unlimited',
    file: 'src/access/openid/rules.ts',
    find: 'if (first.groups === null) return { role, groups: null };',
    replace: 'if ([first, ...further].some(({ groups }) => groups === null)) return { role, groups: null };',
    seenBy: [
      {
        file: 'src/access/openid/rules.test.ts',
        title: 'the first rule that fits gives the role, and a limited one stays limited',
      },
    ],
  },
];

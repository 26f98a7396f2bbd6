/** Texts of who has access: administrators, roles, tokens, sessions. */
import { counted } from '../../base/counted.ts';
import { listed } from './words.ts';

export const accessWords = {
  access: 'Access',
  lead: 'Who may administer this domain, as what, and who is signed in.',
  parts: 'Parts of this page',
  administrators: 'Administrators',
  roles: 'Roles',
  tokens: 'API tokens',
  sessions: 'Sessions',
  providers: 'Sign-in providers',
} as const;

interface WaysIn {
  readonly hasPassword: boolean;
  readonly asksTotp: boolean;
  readonly passkeys: number;
  readonly provider: string | null;
}

export const administratorWords = {
  lead: 'People who sign in to the console.',
  add: 'Add an administrator',
  name: 'Name',
  role: 'Role',
  signsInBy: 'Signs in by',
  sessions: 'Sessions',
  state: 'State',
  you: 'you',
  /** What somebody signs in with. */
  signIn: ({ hasPassword, asksTotp, passkeys, provider }: WaysIn) => {
    const ways = [
      ...(provider === null ? [] : [`at ${provider}`]),
      ...(hasPassword ? [asksTotp ? 'password and code' : 'password'] : []),
      ...(passkeys === 0 ? [] : [counted(passkeys, 'passkey')]),
    ];
    return ways.length === 0 ? 'has not signed in yet' : ways.join(', ');
  },
  lacksFactor: 'second factor missing',
  limitedTo: (groups: readonly string[]) =>
    groups.length === 0 ? 'limited to no group' : `limited to ${listed(groups)}`,
  manage: 'Manage',
  manageOne: (name: string) => `Manage ${name}`,
  invite: 'Create the invitation',
  invited: (name: string) => `An invitation for ${name}`,
  sendLink: (name: string, until: string) =>
    `Send this link to ${name} and to nobody else. It works once, until ${until}.`,
  theLink: 'the link',
  gone: (name: string) => `There is no administrator ${name}.`,
} as const;

/** What can be done to one administrator: what it does, and what it costs. */
export const manageWords = {
  ownNote: 'This is you. Another administrator changes your role; what you sign in with is on another page:',
  role: {
    title: 'Role and groups',
    act: 'Change',
    of: (name: string) => `Role and groups of ${name}`,
    byProvider: (role: string, provider: string) => `${role}, decided by the rules of ${provider}`,
    save: 'Save',
    cost: (name: string) => `${name} is signed out and signs in again with the new rights.`,
  },
  password: {
    title: 'Password',
    has: 'chosen',
    hasNot: 'not chosen yet',
    act: 'Reset',
    question: (name: string) => `Reset the password of ${name}?`,
    cost: (name: string) =>
      `The password and all sessions of ${name} end. You get a link with which ${name} chooses a new one; the authenticator is asked for as before.`,
    do: 'Reset the password',
  },
  authenticator: {
    title: 'Authenticator',
    has: 'set up',
    hasNot: 'none',
    act: 'Remove',
    question: (name: string) => `Remove the authenticator of ${name}?`,
    cost: (name: string) => `Its recovery codes and all sessions of ${name} end, too. ${name} can set up another one.`,
    do: 'Remove the authenticator',
  },
  passkeys: {
    title: 'Passkeys',
    has: (count: number) => (count === 0 ? 'none' : counted(count, 'passkey')),
    act: 'Remove all',
    question: (name: string) => `Remove all passkeys of ${name}?`,
    cost: (name: string) => `None of them lets ${name} in any more, and all sessions end.`,
    do: 'Remove the passkeys',
  },
  reset: {
    title: 'Whole sign-in',
    hint: 'For somebody who cannot sign in any more, or whose sign-in somebody else may know.',
    act: 'Reset',
    question: (name: string) => `Reset the sign-in of ${name}?`,
    cost: (name: string) =>
      `The password, authenticator, recovery codes and passkeys of ${name} end, and all sessions. You get a link with which ${name} chooses a new password.`,
    do: 'Reset the sign-in',
    done: (name: string) => `A new link for ${name}`,
  },
  sessions: {
    title: 'Sessions',
    act: 'End all',
    open: (count: number) => (count === 0 ? 'not signed in' : counted(count, 'open session')),
    question: (name: string) => `End all sessions of ${name}?`,
    cost: (name: string) => `${name} is signed out everywhere and can sign in again. Changes that were made stay.`,
    do: 'End the sessions',
  },
  disable: {
    title: 'Account',
    act: 'Disable',
    question: (name: string) => `Disable ${name}?`,
    cost: (name: string) =>
      `${name} is signed out and cannot sign in until you enable the account again. Nothing else is lost.`,
    do: 'Disable',
  },
  enable: {
    title: 'Account',
    act: 'Enable',
    question: (name: string) => `Enable ${name}?`,
    cost: (name: string) => `${name} can sign in again as before.`,
    do: 'Enable',
  },
  remove: {
    title: 'Remove for good',
    act: 'Remove',
    of: (name: string) => ` ${name}`,
    hint: 'The audit keeps what was done under this name.',
    question: (name: string) => `Remove ${name}?`,
    cost: (name: string) =>
      `${name} is signed out and loses all access. This cannot be undone. The audit keeps what ${name} did.`,
    do: 'Remove for good',
  },
} as const;

export const roleWords = {
  lead: 'What administrators and tokens may do. Predefined roles stay as they are.',
  add: 'Create a role',
  change: (name: string) => `Change the role ${name}`,
  role: 'Role',
  rights: 'Rights',
  usedBy: 'Used by',
  kind: 'Kind',
  predefined: 'predefined',
  own: 'your own',
  count: (count: number, all: number) => `${count} of ${all}`,
  nobody: 'nobody',
  users: (administrators: number, tokens: number) =>
    listed([
      ...(administrators === 0 ? [] : [counted(administrators, 'administrator')]),
      ...(tokens === 0 ? [] : [counted(tokens, 'token')]),
    ]),
  changeShort: 'Change',
  removeShort: 'Remove',
  ofRole: (name: string) => ` the role ${name}`,
  table: 'Rights by role',
  allRights: 'All rights',
  tableLead: 'A limited administrator or token keeps only what is marked “in groups”.',
  right: 'Right',
  inGroups: 'in groups',
  has: '●',
  hasLabel: 'yes',
  hasNot: 'no',
  nameHint: 'It cannot be changed later.',
  startFrom: 'Start from',
  startFromNothing: 'no rights',
  chosen: (count: number, all: number) => `${count} of ${all} rights`,
  allOf: (area: string) => `All of ${area}`,
  lacking: 'You do not have this right, so you cannot give it.',
  create: 'Create the role',
  save: 'Save',
  saveCost: (users: string) => `Applies at once to ${users}.`,
  removeQuestion: (name: string) => `Remove the role ${name}?`,
  removeCost: 'Nobody has it. This cannot be undone.',
  remove: 'Remove the role',
  inUse: (users: string) =>
    `${users} still ${/ and |^[^1]/.test(users) ? 'have' : 'has'} this role. Give them another one first.`,
} as const;

/** What a group of rights is called; one that a later release adds, by its own name. */
const areas: Readonly<Record<string, string>> = {
  status: 'Overview and events',
  events: 'Overview and events',
  accounts: 'Accounts and groups',
  groups: 'Accounts and groups',
  policies: 'IT policies and services',
  services: 'IT policies and services',
  devices: 'Devices',
  moves: 'Moves and deliveries',
  deliveries: 'Moves and deliveries',
  servers: 'Servers, keys and releases',
  hosts: 'Servers, keys and releases',
  credentials: 'Servers, keys and releases',
  push: 'Servers, keys and releases',
  keys: 'Servers, keys and releases',
  releases: 'Servers, keys and releases',
  upgrade: 'Upgrades',
  notices: 'Notices',
  audit: 'Audit and access',
  access: 'Audit and access',
};

export function areaOf(right: string): string {
  const [noun = right] = right.split('.');
  return areas[noun] ?? noun;
}

export const scopeWords = {
  scope: 'Applies to',
  all: 'the whole domain',
  groups: 'some groups, their accounts and devices',
  which: 'Groups',
  search: 'Find a group',
  none: 'There are no groups yet. `bramble group create NAME` makes one.',
  noMatch: 'No group matches.',
  choose: 'Choose at least one group.',
  chosen: (names: readonly string[]) => `Chosen: ${listed(names)}`,
  kept: (kept: number, all: number) =>
    kept === all
      ? `All ${all} rights of the role work in groups.`
      : `${kept} of the ${all} rights of the role work in groups; the others are left out.`,
  role: 'Role',
} as const;

export const tokenWords = {
  lead: 'Programs use them with the REST API and `bramble`.',
  create: 'Create a token',
  none: 'There are no tokens.',
  name: 'Name',
  nameHint: 'What it is for; the audit shows it.',
  role: 'Role',
  everything: 'all rights',
  created: 'Created',
  by: (name: string) => ` by ${name}`,
  expires: 'Expires',
  state: 'State',
  revoked: 'revoked',
  expired: 'expired',
  valid: 'valid',
  revokeShort: 'Revoke',
  ofToken: (name: string) => ` the token ${name}`,
  validFor: 'Valid for',
  spans: [
    { days: '1', text: '1 day' },
    { days: '30', text: '30 days' },
    { days: '90', text: '90 days' },
    { days: '365', text: '1 year' },
    { days: '', text: 'no limit' },
  ],
  theToken: 'the token',
  made: (name: string) => `The token ${name}`,
  madeWarning: 'This is the only time it is shown. Whoever has it can do what the token may do.',
  revokeQuestion: (name: string) => `Revoke the token ${name}?`,
  revokeCost: 'Every program that uses it is refused from now on. This cannot be undone.',
  revoke: 'Revoke for good',
  active: 'Valid',
  past: (count: number) => `${count} revoked or expired`,
} as const;

export const sessionWords = {
  lead: 'Browsers that are signed in. One ends after an hour of rest, and after 12 hours in any case.',
  administrator: 'Administrator',
  thisBrowser: 'this browser',
  browser: 'Browser',
  from: 'From',
  signedIn: 'Signed in',
  /** How: by a password, or at a provider. */
  by: (method: string) => (method.startsWith('openid ') ? ` at ${method.slice(7)}` : ` by ${method}`),
  lastSeen: 'Last seen',
  endShort: 'End',
  ofSession: (administrator: string) => ` the session of ${administrator}`,
  question: 'End this session?',
  ownCost: 'You are signed out of this browser.',
  cost: (administrator: string, address: string) =>
    `${administrator} is signed out at ${address}, and can sign in again. Changes that were made stay.`,
  end: 'End the session',
  unknown: 'unknown',
  browsers: { Edg: 'Edge' } as Readonly<Record<string, string>>,
  systems: { 'Mac OS X': 'macOS' } as Readonly<Record<string, string>>,
  onSystem: (browser: string, system: string) => `${browser} on ${system}`,
} as const;

export const factorRuleWords = {
  title: 'Second factor',
  is: (everybody: boolean, roles: readonly string[], lacking: readonly string[]) =>
    `Asked of ${everybody ? 'everybody' : roles.length === 0 ? 'nobody' : `the roles ${listed(roles)}`}.` +
    (lacking.length === 0 ? '' : ` Still to be set up by ${listed(lacking)}.`),
  change: 'Change',
  question: 'Who needs a second factor?',
  lead: 'A passkey, or an authenticator beside the password. Whoever has none can do nothing but set one up.',
  of: 'Asked of',
  nobody: 'nobody; it is up to each',
  someRoles: 'some roles',
  everybody: 'everybody',
  roles: 'Roles',
  save: 'Save',
} as const;

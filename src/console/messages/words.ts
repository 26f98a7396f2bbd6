/** Words that several pages use, and how people say numbers and times. Pure. */
import { counted } from '../../base/counted.ts';

export const words = {
  product: 'Bramble',
  loading: 'Loading …',
  notAnswering: 'The administration service does not answer.',
  unknownWhetherDone:
    'The administration service does not answer. It is unknown whether this was done: look before you try again.',
  pageTitle: (title: string) => `${title} · Bramble`,
  nothing: '–',
  never: 'never',
  cancel: 'Cancel',
  close: 'Close',
  done: 'Done',
  later: 'Later',
  back: 'Back',
  search: 'Search',
  name: 'Name',
  fullName: 'Full name',
  optional: 'Optional.',
  password: 'Password',
  newPasswordRule: (least: number) => `At least ${least} characters; a sentence is fine.`,
  show: 'Show',
  hide: 'Hide',
  /** Behind `Show`, for who does not see where the button stands. */
  ofField: (label: string) => ` ${label.toLowerCase()}`,
  code: 'Code',
  actions: 'Actions',
  typeToConfirm: (typed: string) => `Type “${typed}” to confirm`,
  shownOnce: 'This is the only time it is shown.',
  noLongerShown: 'No longer shown, because the session ended.',
  copy: (what: string) => `Copy ${what}`,
  copied: (what: string) => `Copied: ${what}`,
  theCommand: 'the command',
  asCommand: 'The same as a command',
  theme: (theme: string) => `Theme: ${theme}`,
  changeTheme: (theme: string) => `Theme: ${theme}. Change it`,
  step: (title: string, isDone: boolean) => (isDone ? `${title} (done)` : title),
  setUpSteps: 'Steps of the set-up',
  qrCodeOf: (what: string) => `QR code of ${what}`,
  chooseFile: 'Choose a file …',
  fileOf: (label: string) => `${label}: choose a file`,
  waitingForService: 'Waiting for the administration service …',
  pageFailed: 'This page cannot be shown',
  pageFailedWhy:
    'A part of the console could not be loaded or shown. Reload it; if that does not help, the administration service may be unreachable.',
  reload: 'Reload',
} as const;

/** What a form says when the service asks once more who sits there. */
export const proofWords = {
  why: '**Confirm that it is you.** This gives or takes access, and you last proved who you are more than 15 minutes ago.',
  password: 'Your password',
  byPasskey: 'Use a passkey instead',
  byProvider: 'Confirm at your identity provider',
  thenSend: 'It opens in another window. Come back afterwards, and send this again.',
} as const;

export const chartWords = {
  value: (name: string, value: string) => `${name} ${value}`,
  at: (clock: string) => `at ${clock}`,
  pointed: (clock: string, values: string) => `${clock}: ${values}`,
  nothingYet: 'nothing yet',
} as const;

/** `1,024 devices`, `1 device`. */
export function many(count: number, one: string, several?: string): string {
  const text = counted(count, one, several);
  return `${count.toLocaleString('en')}${text.slice(String(count).length)}`;
}

/** `a`, `a and b`, `a, b and c`. */
export function listed(names: readonly string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}

/** How far a time is from now: `just now`, `3 min ago`, `in 2 h`; in days from two days on. */
export function distanceText(at: Date, from: number): string {
  const seconds = Math.round((from - at.getTime()) / 1000);
  const size = Math.abs(seconds);
  if (size < 5) return 'just now';
  const text =
    size < 90
      ? `${size} s`
      : size < 90 * 60
        ? `${Math.round(size / 60)} min`
        : size < 48 * 3600
          ? `${Math.round(size / 3600)} h`
          : `${Math.round(size / 86_400)} days`;
  return seconds >= 0 ? `${text} ago` : `in ${text}`;
}

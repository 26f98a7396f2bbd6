/**
 * The core speaks of devices, announcements, commands, and *done*, *failed*, *later*, *idle*; what only one platform's devices say
 * stands under `platforms/` and `protocol/`. This holds names, texts, statements and comments of the core's rooms to it.
 */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

const checkout = path.join(import.meta.dirname, '../..');
const rooms = [
  ...[
    'activation',
    'deliveries',
    'devices',
    'measurements',
    'moves',
    'policies',
    'services',
    'states',
    'upgrade',
    'database/roles',
  ],
  ...['processes/router', 'processes/server'],
];

/** Words of Apple's protocol, wherever they stand in a name: of its messages, its identifiers, its formats. */
const words = new RegExp(
  [
    /apple/i,
    /\b\w*udid\w*/i,
    /enrollment_?id/i,
    /push[-_ ]?(?:magic|token)/i,
    /bootstrap[-_ ]?token|unlock[-_ ]?token/i,
    /\bcheck-?(?:in|out)\b|err_checkin/i,
    /\bAuthenticate\b|TokenUpdate|UserAuthenticate|GetToken|DeclarativeManagement/,
    /\bIdle\b|\bAcknowledged\b|NotNow|CommandFormatError/,
    /InstallProfile|RemoveProfile|DeviceInformation|RequestType\b|CommandUUID|QueryResponses|ErrorChain/,
    /mdm[-_]?signature|mobileconfig|\bplist|property list|\bapns\b/i,
  ]
    .map(({ source, flags }) => (flags === 'i' ? caseless(source) : source))
    .join('|'),
  'g',
);

/** File, word, and why it stays. */
const exceptions: readonly (readonly [file: string, word: string, why: string])[] = [
  ['processes/server/announcement-requests.ts', 'ERR_CHECKIN', 'the code ERR_CHECKIN_REFUSED is published'],
  ['processes/server/announcement-requests.ts', 'check-in', 'people know the message by this word'],
  ['processes/server/announcement-requests.ts', 'bootstrap-token', 'the kind of the event is published'],
  ['deliveries/waiting-reason.ts', 'push-token', 'the reason push-token-missing is published'],
  ['deliveries/waiting-reason.ts', 'push token', 'its text'],
  ['devices/device-list.ts', 'udid', 'the field of a listed device is published'],
];
/** The one file in which the columns' own names stand. */
const storedNames = 'states/stored-names.ts';

/** Each letter of a word in both cases: a pattern has one set of flags, and some words count in one case only. */
function caseless(source: string): string {
  return source.replace(/(?<!\\)[a-z]/gi, (letter) => `[${letter.toLowerCase()}${letter.toUpperCase()}]`);
}

function wordsIn(file: string): string[] {
  const text = readFileSync(path.join(checkout, 'src', file), 'utf8');
  const lines = text.split('\n').filter((line) => !/^import |^} from '|^ *from '/.test(line));
  return lines.flatMap((line) => line.match(words) ?? []);
}

test('the core holds no word of one platform, but for columns and codes of sealed releases', () => {
  const files = globSync(
    rooms.map((room) => `${room}/**/*.ts`),
    { cwd: path.join(checkout, 'src') },
  )
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => !/(?:\.test|-fixture)\.ts$/.test(file) && file !== storedNames);
  assert.ok(files.length > 100);
  const excused = new Set(exceptions.map(([file, word]) => `${file}: ${word}`));
  const found = files.flatMap((file) => wordsIn(file).map((word) => `${file}: ${word}`));
  assert.deepEqual(
    found.filter((each) => !excused.has(each)),
    [],
  );
  for (const each of excused) assert.ok(found.includes(each), `${each} is there no more: take its exception out`);
  assert.ok(wordsIn(storedNames).length > 5, 'the columns’ names are where this test believes them to be');
});

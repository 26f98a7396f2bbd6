/**
 * The core speaks of devices, announcements, commands, and *done*, *failed*, *later*, *idle*; what only one platform's devices say
 * stands under `platforms/` and `protocol/`. This holds names, texts, statements and comments of every room to it, but for those
 * that are no part of the core: a platform's own folder, wire formats, simulated devices (each is one platform's), and `bramble`, whose
 * help tells people what a platform calls its commands. SCEP is no platform's word: it is a standard that the core serves.
 */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

const checkout = path.join(import.meta.dirname, '../..');
/** No part of the core: `bramble`, what a platform has for itself, which platforms there are, wire formats, simulated devices. */
const outside = /^(?:cli|platforms\/[^/]+|protocol|simulator|testing)\//;

/** Words of Apple's protocol, wherever they stand in a name: of its messages, its identifiers, its formats. */
const words = new RegExp(
  [
    /apple/i,
    /\b\w*udid\w*/i,
    /enrollment_?id/i,
    /push[-_ ]?(?:magic|token|topic)|push_state/i,
    /enrolment[-_ ]profile/i,
    /bootstrap[-_ ]?token|unlock[-_ ]?token/i,
    /\bcheck-?in\b|\bcheck-out\b|err_checkin/i,
    /\bAuthenticate\b|CheckOut|TokenUpdate|UserAuthenticate|GetToken|DeclarativeManagement/,
    /\bIdle\b|\bAcknowledged\b|NotNow|CommandFormatError/,
    /\btopics?\b/i,
    /'(?:acknowledged|not-now)'/,
    /InstallProfile|RemoveProfile|ProfileList|DeviceInformation|DeviceLock|RequestType\b|CommandUUID|QueryResponses|ErrorChain/,
    /mdm[-_]?signature|mobileconfig|\bplist|property list|\bapns\b/i,
  ]
    .map(({ source, flags }) => (flags === 'i' ? caseless(source) : source))
    .join('|'),
  'g',
);

/** Why a word stays in a file. */
type Exception = readonly [file: string, word: string, why: string];

const published = (file: string, ...named: string[]) =>
  named.map((word): Exception => [file, word, 'a code, field or name that is published']);
const stored = (word: string, ...files: string[]) =>
  files.map((file): Exception => [file, word, 'a stored name that sealed releases use']);

const exceptions: readonly Exception[] = [
  ['processes/server/announcement-requests.ts', 'ERR_CHECKIN', 'the code ERR_CHECKIN_REFUSED is published'],
  ['processes/server/announcement-requests.ts', 'check-in', 'people know the message by this word'],
  ['processes/server/announcement-requests.ts', 'bootstrap-token', 'the kind of the event is published'],
  ['devices/event-scope.ts', 'bootstrap-token', 'the kind of the event is published'],
  ['deliveries/waiting-reason.ts', 'push-token', 'the reason push-token-missing is published'],
  ['deliveries/waiting-reason.ts', 'push token', 'its text'],
  ...published(
    'api/device-commands.ts',
    'DeviceLock',
    'DeviceInformation',
    'ProfileList',
    'InstallProfile',
    'RemoveProfile',
  ),
  ...published('api/devices.ts', 'udid'),
  ...published('devices/device-list.ts', 'udid'),
  ...published('devices/device-search.ts', 'udid'),
  ...published('api/search.ts', 'udid', 'UDID'),
  ['devices/device-search.ts', 'device_udid', 'the index of a stored name'],
  ['devices/device-search.ts', 'UDID', 'people know the identifier by this word'],
  ...published('api/push.ts', 'topic'),
  ...published('base/error-codes.ts', 'ERR_CHECKIN', 'PUSH_TOPIC'),
  ['base/error-codes.ts', 'check-in', 'people know the message by this word'],
  ...published('rest/http-errors.ts', 'PUSH_TOPIC'),
  ...published('release/this-release.ts', 'push-topic'),
  ...published('registry/own-release.ts', 'push-topic', 'push topic', 'bootstrap token'),
  ['api/devices.ts', 'push topic', 'people know it by this word'],
  // The resource `push` of 1.2 is one service's: its certificate names a topic, which becomes the domain's wake channel.
  ...published('processes/administration/routes/push.ts', 'topic', 'push topic', 'push-topic'),
  ...published('processes/administration/wake-channel.ts', 'topic', 'push-topic', 'PUSH_TOPIC'),
  // What a live message is about is a topic to everybody who reads streams.
  ...published('api/domain.ts', 'topic', 'topics'),
  ...published('api/event-stream.ts', 'topic', 'topics'),
  ...published('processes/administration/routes/events.ts', 'topic', 'topics'),
  ...published('processes/administration/stream-marks.ts', 'topic', 'topics'),
  ...published('rest/event-stream-answer.ts', 'topics'),
  ...published('rest/stream-hub.ts', 'topic', 'topics'),
  ...published('rest/topic-look.ts', 'topic', 'topics'),
  ...published('rest/stream-listener.ts', 'topic', 'topics'),
  // Examples name members as they are published.
  ...published('rest/example-words.ts', 'topic', 'topics', 'udid', 'DeviceLock'),
  ...published('console/live/answers.ts', 'topic', 'topics'),
  ...published('console/live/stream.ts', 'topic'),
  ...published('console/session.ts', 'topics'),
  ['console/messages/sign-in.ts', 'Apple', 'whose push certificate it is that people set'],
  ['console/messages/sign-in.ts', 'topic', 'the certificate’s, as the resource `push` names it'],
  ...stored(
    'push_topic',
    'domain/domain.ts',
    'domain/domain-changes.ts',
    'database/roles/role-rights.ts',
    'devices/device-list.ts',
  ),
  ...stored('unlock_token', 'database/roles/role-rights.ts'),
  ...stored('bootstrap_token', 'database/roles/role-rights.ts'),
  // As sealed releases store *done* and *later*: states/command-states.ts.
  ...stored("'acknowledged'", 'devices/device-identity.ts', 'devices/identity-renewal.ts', 'states/command-states.ts'),
  ...stored(
    "'not-now'",
    'deliveries/waiting-reason.ts',
    'deliveries/wake-store.ts',
    'upgrade/gates/gate-deliveries.ts',
    'states/command-states.ts',
  ),
];
/** The one file in which the columns' own names stand. */
const storedNames = 'states/stored-names.ts';

/** Each letter of a word in both cases: a pattern has one set of flags, and some words count in one case only. */
function caseless(source: string): string {
  return source.replace(/(?<!\\)[a-z]/gi, (letter) => `[${letter.toLowerCase()}${letter.toUpperCase()}]`);
}

function wordsIn(file: string): string[] {
  const text = readFileSync(path.join(checkout, 'src', file), 'utf8');
  return text.match(words) ?? [];
}

const ofProducts = () =>
  globSync('**/*.ts', { cwd: path.join(checkout, 'src') })
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => !/(?:\.test|-fixture)\.ts$/.test(file));

test('which platforms are registered is read by main programs and by commands that plan without a service', () => {
  const readers = ofProducts().filter((file) =>
    readFileSync(path.join(checkout, 'src', file), 'utf8').includes('platforms/registered/'),
  );
  const mains = ['administration', 'coordinator', 'router', 'server'].map((process) => `processes/${process}/main.ts`);
  const commands = ['release-way', 'upgrade-rehearse'].map((command) => `cli/commands/${command}.ts`);
  assert.deepEqual(readers.sort(), [...commands, ...mains]);
});

test('the core holds no word of one platform, but for columns and codes of sealed releases', () => {
  const files = ofProducts().filter((file) => file !== storedNames && !outside.test(file));
  assert.ok(files.length > 400);
  const excused = new Set(exceptions.map(([file, word]) => `${file}: ${word}`));
  const found = files.flatMap((file) => wordsIn(file).map((word) => `${file}: ${word}`));
  assert.deepEqual(
    found.filter((each) => !excused.has(each)),
    [],
  );
  for (const each of excused) assert.ok(found.includes(each), `${each} is there no more: take its exception out`);
  assert.ok(wordsIn(storedNames).length > 5, 'the columns’ names are where this test believes them to be');
});

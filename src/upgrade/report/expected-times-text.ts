/** How long an upgrade will take, in words: pairs of what, and how long. Pure. */
import type { ExpectedTimes } from '../../api/upgrade-report.ts';
import { counted } from '../../base/counted.ts';
import { durationText, timeText } from '../../base/time-text.ts';

/** The longest ones. */
const backfillsShown = 3;

export function expectedLines({ rehearsed, waves }: ExpectedTimes): [string, string][] {
  return [...(rehearsed === null ? [] : rehearsedLines(rehearsed)), ...(waves === null ? [] : waveLines(waves))];
}

function rehearsedLines({
  takenAt,
  awaySeconds,
  expandSeconds,
  backfills,
}: NonNullable<ExpectedTimes['rehearsed']>): [string, string][] {
  const away =
    `the administration is away for about ${durationText(awaySeconds)}, of which ${durationText(expandSeconds)} expand the ` +
    `schema, as rehearsed with the data of ${timeText(takenAt)}`;
  const filled = backfills.slice(0, backfillsShown).map(({ migration, rows, seconds }) => {
    return `${migration} ${durationText(seconds)} (${counted(rows, 'row')})`;
  });
  return [['fence', away], ...(filled.length === 0 ? [] : [['backfill', filled.join(', ')] as [string, string]])];
}

/** Their minimum: devices that are slow to answer, gates that need more requests, and closed windows add to it. */
function waveLines({ count, sendSeconds, soakSeconds, leastSeconds }: NonNullable<ExpectedTimes['waves']>) {
  if (count === 0) return [];
  const sent = sendSeconds === 0 ? '' : `${durationText(sendSeconds)} of sending, and `;
  const soaks = `${counted(count, 'wave')}${count === 1 ? '' : ', each'} observed for ${durationText(soakSeconds)}`;
  return [['waves', `at least ${durationText(leastSeconds)}: ${sent}${soaks}`] as [string, string]];
}

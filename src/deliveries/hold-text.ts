/** What holds deliveries back, in words: of an instance and of a single delivery in the same ones. */
import type { HoldReason } from './situation.ts';

const holdTexts: Readonly<Record<Exclude<HoldReason, 'nothing'>, string>> = {
  'rate-instance': "the instance's rate per minute",
  'rate-domain': "the domain's rate per minute",
  'slots-instance': "a slot of the instance's budget",
  'slots-domain': "a slot of the domain's budget",
  suspects: 'a slot: silent devices hold them',
};

/** What is waited for; the reason itself if this release has no text for it. */
export function holdText(reason: string): string {
  return (holdTexts as Readonly<Record<string, string>>)[reason] ?? reason;
}

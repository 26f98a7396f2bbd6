/** What holds for the whole page: since when it is not live, and that another release is on its way. */
import { use, useEffect, useState } from 'react';
import { upgradeOperations } from '../api/upgrade.ts';
import type { UpgradeReport } from '../api/upgrade-report.ts';
import { isBrambleError } from '../base/errors.ts';
import { useAnswer } from './live/answers.ts';
import { useContact } from './live/contact.ts';
import { useStream } from './live/stream.ts';
import { bannerWords } from './messages/frame.ts';
import { Icon, type IconName } from './parts/icon.tsx';
import { Prose } from './parts/prose.tsx';
import { clockText } from './parts/times.tsx';
import { MeContext } from './session.ts';
import { useIsUnsaved } from './unsaved.ts';

export function Banners() {
  const contact = useContact();
  const stream = useStream();
  const me = use(MeContext);
  const awaited = useNewPageOfNewRelease();
  if (contact.state === 'fenced' || me?.service === 'coordinator')
    return <UpgradeBanner since={contact.state === 'fenced' ? contact.since : null} />;
  if (contact.state === 'lost')
    return <Banner tone="warn" icon="warn" text={bannerWords.lost(clockText(contact.since))} />;
  if (awaited !== null) return <Banner tone="info" icon="upgrade" text={bannerWords.newRelease(awaited)} />;
  if (stream.state === 'behind')
    return <Banner tone="warn" icon="warn" text={bannerWords.behind(clockText(stream.since))} />;
  return null;
}

/** While the coordinator answers for an upgrade: who upgrades to what, and how far it is. */
function UpgradeBanner({ since }: { since: number | null }) {
  const { value, error } = useAnswer(upgradeOperations.show, {}, { topics: ['events', 'upgrade'], everyMs: 2000 });
  // On a host that the upgrade is not steered from, it is said where it is.
  const elsewhere = isBrambleError(error, 'ERR_RELEASE_FENCED') ? error.message : bannerWords.someUpgrade;
  const what = value === undefined ? elsewhere : installing(value);
  const how = value === undefined ? null : bannerWords.position(value.position, value.waitingFor);
  return (
    <Banner
      tone="info"
      icon="upgrade"
      text={bannerWords.upgrade(what, how, since === null ? null : clockText(since))}
    />
  );
}

function installing({ fromRelease, toRelease, state, events }: UpgradeReport): string {
  // Whoever started it, or has decided since.
  const decided = events.findLast(({ message }) => /^(started|resumed|reversing|finalizing started) by /.test(message));
  const decision = decided === undefined ? '' : `, ${decided.message}`;
  return state.startsWith('revers')
    ? bannerWords.goingBack(fromRelease, decision)
    : bannerWords.installing(toRelease, decision);
}

function Banner({ tone, icon, text }: { tone: 'warn' | 'info'; icon: IconName; text: string }) {
  return (
    <div className="banner" data-tone={tone} role="status">
      <Icon name={icon} />
      <p>
        <Prose text={text} />
      </p>
    </div>
  );
}

/**
 * Once another release administers the domain, its own page takes over, at the same address; not before what is typed was sent or
 * given up, and what is shown only once was put away. @returns the release that is waited for so
 */
function useNewPageOfNewRelease(): string | null {
  const me = use(MeContext);
  const isUnsaved = useIsUnsaved();
  const serving = me?.service === 'administration' ? me.release : null;
  const [loadedWith, setLoadedWith] = useState<string | null>(null);
  if (loadedWith === null && serving !== null) setLoadedWith(serving);
  const isOther = serving !== null && loadedWith !== null && loadedWith !== serving;
  useEffect(() => {
    if (isOther && !isUnsaved) location.reload();
  }, [isOther, isUnsaved]);
  return isOther && isUnsaved ? serving : null;
}

/** What holds for the whole page: since when it is not live, and that another release is on its way. */
import { type ReactNode, use, useEffect, useRef } from 'react';
import { upgradeOperations } from '../api/upgrade.ts';
import type { UpgradeReport } from '../api/upgrade-report.ts';
import { useAnswer } from './live/answers.ts';
import { useContact } from './live/contact.ts';
import { useStream } from './live/stream.ts';
import { Icon, type IconName } from './parts/icon.tsx';
import { clockText } from './parts/times.tsx';
import { MeContext } from './session.ts';

export function Banners() {
  const contact = useContact();
  const stream = useStream();
  const me = use(MeContext);
  useNewPageOfNewRelease();
  if (contact.state === 'fenced' || me?.service === 'coordinator')
    return <UpgradeBanner since={contact.state === 'fenced' ? contact.since : null} />;
  if (contact.state === 'lost') {
    return (
      <Banner tone="warn" icon="warn">
        <strong>The administration service does not answer.</strong> What you see is from {clockText(contact.since)}. It
        is asked again every two seconds.
      </Banner>
    );
  }
  if (stream.state === 'behind') {
    return (
      <Banner tone="warn" icon="warn">
        <strong>Events are late.</strong> What happened after {clockText(stream.since)} is shown as soon as a long
        transaction in the database has ended.
      </Banner>
    );
  }
  return null;
}

/** While the coordinator answers for an upgrade: who upgrades to what, and how far it is. */
function UpgradeBanner({ since }: { since: number | null }) {
  const { value } = useAnswer(upgradeOperations.show, {}, { topics: ['events', 'upgrade'], everyMs: 2000 });
  return (
    <Banner tone="info" icon="upgrade">
      <strong>{value === undefined ? 'The domain is being upgraded.' : installing(value)}</strong>{' '}
      {value !== undefined && `It is ${value.position}${value.waitingFor === null ? '' : `: ${value.waitingFor}`}. `}
      Devices go on as before. {since !== null && `What you see is from ${clockText(since)}; `}this page goes on by
      itself.
    </Banner>
  );
}

function installing({ fromRelease, toRelease, state, events }: UpgradeReport): string {
  const what = state.startsWith('revers') ? `Going back to release ${fromRelease}` : `Installing release ${toRelease}`;
  // Whoever started it, or has decided since.
  const decision = events.findLast(({ message }) =>
    /^(started|resumed|reversing|finalizing started) by /.test(message),
  )?.message;
  return decision === undefined ? `${what}.` : `${what}, ${decision}.`;
}

function Banner({ tone, icon, children }: { tone: 'warn' | 'info'; icon: IconName; children: ReactNode }) {
  return (
    <div className="banner" data-tone={tone} role="status">
      <Icon name={icon} />
      <p>{children}</p>
    </div>
  );
}

/** Once another release administers the domain, its own page takes over, at the same address. */
function useNewPageOfNewRelease(): void {
  const me = use(MeContext);
  const loadedWith = useRef<string | null>(null);
  const serving = me?.service === 'administration' ? me.release : null;
  useEffect(() => {
    if (serving === null) return;
    loadedWith.current ??= serving;
    if (loadedWith.current !== serving) location.reload();
  }, [serving]);
}

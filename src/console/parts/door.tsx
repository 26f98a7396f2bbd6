/** What is outside of the frame: nobody is signed in yet. */
import { type ReactNode, useEffect } from 'react';
import { Mark } from './icon.tsx';
import { ThemeButton } from './theme-button.tsx';

export function Door({ title, isWide = false, children }: { title: string; isWide?: boolean; children: ReactNode }) {
  useEffect(() => {
    document.title = `${title} · Bramble`;
  }, [title]);
  return (
    <div className={isWide ? 'door wide' : 'door'}>
      <main>
        <p className="brand">
          <Mark size={34} /> Bramble
        </p>
        <div className="card">{children}</div>
        <footer>
          <span>Device management that upgrades without an outage</span>
          <ThemeButton />
        </footer>
      </main>
    </div>
  );
}

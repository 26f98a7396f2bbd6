/** What stands around every page: the way to the others, who is signed in, and whether what is shown is live. */
import { type ReactNode, use, useEffect } from 'react';
import { Banners } from './banners.tsx';
import { Button } from './parts/controls.tsx';
import { Icon, Mark } from './parts/icon.tsx';
import { ThemeButton } from './parts/theme-button.tsx';
import { followLink, usePlace } from './place.ts';
import { MeContext, signOut, useRight } from './session.ts';

export function Frame({ children }: { children: ReactNode }) {
  const { path } = usePlace();
  const maySeeAudit = useRight('audit.read');
  const pages = [
    { path: '/', title: 'Overview', icon: 'overview' },
    { path: '/access', title: 'Access', icon: 'access' },
    ...(maySeeAudit ? [{ path: '/audit', title: 'Audit', icon: 'audit' } as const] : []),
  ] as const;
  const title = pages.find((page) => page.path === path)?.title ?? 'Not found';
  useEffect(() => {
    document.title = `${title} · Bramble`;
  }, [title]);
  return (
    <div className="frame">
      <a className="skip" href="#content">
        Skip to the page
      </a>
      <header className="side">
        <a className="brand" href="/" onClick={followLink}>
          <Mark /> Bramble
        </a>
        <nav aria-label="Pages">
          <ul>
            {pages.map((page) => (
              <li key={page.path}>
                <a href={page.path} aria-current={page.path === path ? 'page' : undefined} onClick={followLink}>
                  <Icon name={page.icon} /> {page.title}
                </a>
              </li>
            ))}
          </ul>
        </nav>
        <Person />
      </header>
      <Banners />
      <main className="content" id="content" tabIndex={-1}>
        {children}
      </main>
    </div>
  );
}

function Person() {
  const me = use(MeContext);
  if (me === null) return null;
  return (
    <div className="person">
      <p className="person-name">
        <strong>{me.displayName || me.name}</strong>
        <span>{me.role ?? 'all rights'}</span>
      </p>
      <ThemeButton />
      {me.session !== null && (
        <Button kind="plain" title={`Sign out ${me.name}`} onClick={() => void signOut().catch(() => undefined)}>
          <Icon name="leave" />
          <span className="hidden-text">Sign out {me.name}</span>
        </Button>
      )}
    </div>
  );
}

/** What stands around every page: the way to the others, who is signed in, and whether what is shown is live. */
import { type ReactNode, use, useEffect } from 'react';
import { Banners } from './banners.tsx';
import { frameWords } from './messages/frame.ts';
import { words } from './messages/words.ts';
import { Button } from './parts/controls.tsx';
import { Icon, Mark } from './parts/icon.tsx';
import { ThemeButton } from './parts/theme-button.tsx';
import { followLink, pageOf, usePlace } from './place.ts';
import { MeContext, signOut, useRight } from './session.ts';

export function Frame({ children }: { children: ReactNode }) {
  const here = pageOf(usePlace().path);
  const maySeeAudit = useRight('audit.read');
  const pages = [
    { path: '/', title: frameWords.overview, icon: 'overview' },
    { path: '/access', title: frameWords.access, icon: 'access' },
    ...(maySeeAudit ? [{ path: '/audit', title: frameWords.audit, icon: 'audit' } as const] : []),
  ] as const;
  const title =
    here === '/you' ? frameWords.yourSignIn : (pages.find(({ path }) => path === here)?.title ?? frameWords.notFound);
  useEffect(() => {
    document.title = words.pageTitle(title);
  }, [title]);
  return (
    <div className="frame">
      <a className="skip" href="#content">
        {frameWords.skip}
      </a>
      <header className="side">
        <a className="brand" href="/" onClick={followLink}>
          <Mark /> {words.product}
        </a>
        <nav aria-label={frameWords.pages}>
          <ul>
            {pages.map((page) => (
              <li key={page.path}>
                <a href={page.path} aria-current={page.path === here ? 'page' : undefined} onClick={followLink}>
                  <Icon name={page.icon} /> {page.title}
                </a>
              </li>
            ))}
          </ul>
        </nav>
        <Person here={here} />
      </header>
      <Banners />
      <main className="content" id="content" tabIndex={-1}>
        {children}
      </main>
    </div>
  );
}

function Person({ here }: { here: string }) {
  const me = use(MeContext);
  if (me === null) return null;
  return (
    <div className="person">
      <a className="person-name" href="/you" aria-current={here === '/you' ? 'page' : undefined} onClick={followLink}>
        <Icon name="person" />
        <span>
          <strong>{me.displayName || me.name}</strong>
          <span>{me.role ?? frameWords.allRights}</span>
        </span>
        <span className="hidden-text">{frameWords.yourSignIn}</span>
      </a>
      <ThemeButton />
      {me.session !== null && (
        <Button kind="plain" title={frameWords.signOut(me.name)} onClick={() => void signOut().catch(() => undefined)}>
          <Icon name="leave" />
          <span className="hidden-text">{frameWords.signOut(me.name)}</span>
        </Button>
      )}
    </div>
  );
}

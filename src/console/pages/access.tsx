/** Who has access: administrators, their roles, tokens of programs, and who is signed in. A part for each, and each has an address. */
import type { ComponentType } from 'react';
import { accessWords as say } from '../messages/access.ts';
import { PageHead } from '../parts/page-head.tsx';
import { followLink, usePlace } from '../place.ts';
import { useRight } from '../session.ts';
import { Administrators } from './access/administrators.tsx';
import { Providers } from './access/providers.tsx';
import { Roles } from './access/roles.tsx';
import { Sessions } from './access/sessions.tsx';
import { Tokens } from './access/tokens.tsx';

interface Part {
  readonly path: string;
  readonly title: string;
  readonly Part: ComponentType;
}

const sessions: Part = { path: '/access/sessions', title: say.sessions, Part: Sessions };
const all: readonly Part[] = [
  { path: '/access', title: say.administrators, Part: Administrators },
  { path: '/access/roles', title: say.roles, Part: Roles },
  { path: '/access/tokens', title: say.tokens, Part: Tokens },
  { path: '/access/providers', title: say.providers, Part: Providers },
  sessions,
];

export default function Access() {
  const { path } = usePlace();
  // Without the right to see others, one's own sessions are all there is.
  const parts = useRight('access.read') ? all : [sessions];
  const shown = parts.find((part) => part.path === path) ?? parts[0] ?? sessions;
  return (
    <>
      <PageHead title={say.access} lead={say.lead} />
      {parts.length > 1 && (
        <nav className="tabs" aria-label={say.parts}>
          {parts.map(({ path: address, title }) => (
            <a
              key={address}
              href={address}
              aria-current={address === shown.path ? 'page' : undefined}
              onClick={followLink}
            >
              {title}
            </a>
          ))}
        </nav>
      )}
      <div className="stack">
        <shown.Part />
      </div>
    </>
  );
}

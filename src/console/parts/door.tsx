/** What is outside of the frame: nobody is signed in yet. */
import { type ReactNode, useEffect } from 'react';
import { words } from '../messages/words.ts';
import { Mark } from './icon.tsx';
import { ThemeButton } from './theme-button.tsx';

interface DoorProps {
  title: string;
  isWide?: boolean;
  /** Before a page, whose main part is another one. */
  isInDialog?: boolean;
  children: ReactNode;
}

export function Door({ title, isWide = false, isInDialog = false, children }: DoorProps) {
  useEffect(() => {
    const before = document.title;
    document.title = words.pageTitle(title);
    return () => {
      document.title = before;
    };
  }, [title]);
  const Main = isInDialog ? 'div' : 'main';
  return (
    <div className={isWide ? 'door wide' : 'door'}>
      <Main className="door-main">
        <p className="brand">
          <Mark size={34} /> {words.product}
        </p>
        <div className="card">{children}</div>
        <div className="door-foot">
          <ThemeButton />
        </div>
      </Main>
    </div>
  );
}

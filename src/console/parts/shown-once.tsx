/** A secret that is shown this once. It does not outlive the session that was shown it; until it is put away, nothing replaces the page. */
import { useEffect, useLayoutEffect, useRef, useState } from 'react';
import { useContact } from '../live/contact.ts';
import { words } from '../messages/words.ts';
import { noteUnsaved } from '../unsaved.ts';
import { CopyText, Notice } from './controls.tsx';

interface ShownOnceProps {
  text: string;
  /** What it is, such as `the token`. */
  what: string;
  warning?: string;
}

export function ShownOnce({ text, what, warning = words.shownOnce }: ShownOnceProps) {
  const { state } = useContact();
  const [isGone, setGone] = useState(false);
  useEffect(() => {
    if (state === 'signed-out') setGone(true);
  }, [state]);
  const key = useRef({});
  // Before the form that brought it is gone for good: nothing comes between.
  useLayoutEffect(() => {
    const { current } = key;
    noteUnsaved(current, !isGone);
    return () => noteUnsaved(current, false);
  }, [isGone]);
  if (isGone) return <Notice tone="info">{words.noLongerShown}</Notice>;
  return (
    <>
      <CopyText text={text} what={what} />
      <Notice tone="warn">{warning}</Notice>
    </>
  );
}

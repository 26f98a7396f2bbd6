/** How far the first set-up is. */
import { setUpWords } from '../messages/sign-in.ts';
import { words } from '../messages/words.ts';
import { Icon } from './icon.tsx';

export function SetUpSteps({ current }: { current: number }) {
  return (
    <ol className="steps" aria-label={words.setUpSteps}>
      {setUpWords.steps.map((title, index) => (
        <li key={title} data-done={index < current} aria-current={index === current ? 'step' : undefined}>
          {index < current && <Icon name="done" size={14} />}
          <span className="hidden-text">{words.step(title, index < current)}</span>
          <span aria-hidden="true">{title}</span>
        </li>
      ))}
    </ol>
  );
}

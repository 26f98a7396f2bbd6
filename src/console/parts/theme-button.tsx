/** Goes on to the next theme. */
import { words } from '../messages/words.ts';
import { useTheme } from '../theme.ts';
import { Button } from './controls.tsx';
import { Icon } from './icon.tsx';

export function ThemeButton() {
  const [theme, next] = useTheme();
  const icon = ({ light: 'sun', dark: 'moon', system: 'system' } as const)[theme];
  return (
    <Button kind="plain" onClick={next} title={words.theme(theme)}>
      <Icon name={icon} />
      <span className="hidden-text">{words.changeTheme(theme)}</span>
    </Button>
  );
}

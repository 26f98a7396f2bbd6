/** Goes on to the next theme. */
import { useTheme } from '../theme.ts';
import { Button } from './controls.tsx';
import { Icon } from './icon.tsx';

export function ThemeButton() {
  const [theme, next] = useTheme();
  const icon = ({ light: 'sun', dark: 'moon', system: 'system' } as const)[theme];
  return (
    <Button kind="plain" onClick={next} title={`Theme: ${theme}`}>
      <Icon name={icon} />
      <span className="hidden-text">Theme: {theme}. Change it</span>
    </Button>
  );
}

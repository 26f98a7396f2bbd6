/** The console's beginning in a browser. */
import { createRoot } from 'react-dom/client';
import * as z from 'zod';
import { App } from './app.tsx';
import { showStoredTheme } from './theme.ts';

// Shapes are not compiled into functions: the page's policy allows no code out of texts, and even asking would be reported.
z.config({ jitless: true });
showStoredTheme();
const root = document.getElementById('root');
if (root !== null) createRoot(root).render(<App />);

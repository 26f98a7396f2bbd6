/** Signing in at an OpenID provider: the browser goes there, and comes back to an address of this page. */
import { openidOperations } from '../api/openid.ts';
import { ask } from './live/contact.ts';

/** The browser leaves this page. @param returnTo where the console goes on afterwards */
export async function goToProvider(provider: string, returnTo: string): Promise<void> {
  const { url } = await ask(openidOperations.begin, { body: { provider, returnTo } });
  location.assign(url);
}

/** In a window of its own, so that this page keeps what is typed. */
export async function proveAtProvider(provider: string): Promise<void> {
  // Opened at once: later the browser would not know that somebody has asked for it.
  const opened = window.open('about:blank', '_blank');
  try {
    const { url } = await ask(openidOperations.begin, { body: { provider, returnTo: '/', fresh: true } });
    if (opened === null) location.assign(url);
    else {
      opened.opener = null;
      opened.location.assign(url);
    }
  } catch (error) {
    opened?.close();
    throw error;
  }
}

/** The address that a provider has sent the browser to, which is taken out of it at once; it is good for once. */
export function takeProviderAnswer(): string | null {
  if (!/^\/sign-in\/openid\/[\w-]+$/.test(location.pathname) || location.search === '') return null;
  const { href } = location;
  history.replaceState(null, '', '/');
  return href;
}

/** Where the console goes on. */
export async function finishAtProvider(url: string): Promise<string> {
  return (await ask(openidOperations.finish, { body: { url } })).returnTo;
}

/** For tests: the client of one service whose address is known. */
import { type AdministrationClient, chooseInOrder, createAdministrationClient } from './client.ts';
import type { ServiceAccess } from './exchange.ts';

export function clientOf({ url, token }: ServiceAccess): AdministrationClient {
  return createAdministrationClient({ choose: chooseInOrder(async () => ({ urls: [url], token })) });
}

/** For tests: the client of one service whose address is known. */
import { type AdministrationClient, chooseInOrder, createAdministrationClient, type ServiceAccess } from './client.ts';

export function clientOf({ url, token }: ServiceAccess): AdministrationClient {
  return createAdministrationClient({ choose: chooseInOrder(async () => ({ urls: [url], token })) });
}

/** Rules go as they are, under their own names. */
import { createHash } from 'node:crypto';
import type { WriteOperatorOrder } from '../../src/platforms/operator-order.ts';
import type { Compiler, Order } from '../../src/platforms/order.ts';

export function jsonOrder(requestType: string, content: object): Order {
  const revision = createHash('sha256').update(JSON.stringify(content)).digest('hex').slice(0, 16);
  const write = (id: string) => Buffer.from(JSON.stringify({ id, do: requestType, ...content }));
  return { requestType, revision, skipped: [], write };
}

export const jsonCompiler: Compiler = {
  variantOf: () => '',
  minVersions: () => ({ json: '0' }),
  policy: ({ rules }) => jsonOrder('policy', { rules }),
  serviceBooks: () => undefined,
  synchronization: () => jsonOrder('tell', {}),
};

/** Its devices can be locked; they have nothing that could be installed. */
export const jsonOperatorOrder: WriteOperatorOrder = (command) =>
  command.requestType === 'DeviceLock'
    ? { ...jsonOrder('lock', { text: command.message ?? '' }), urgent: true }
    : undefined;

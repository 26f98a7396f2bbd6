/** A command that an administrator sends by hand, as an order of the device's platform. */
import type { OperatorCommand } from '../api/device-commands.ts';
import type { Order } from './order.ts';

export interface OperatorOrder extends Pick<Order, 'requestType' | 'write'> {
  /** Acts at once: it is handed out before what else waits. */
  readonly urgent: boolean;
}

/** Undefined for a command that the platform's devices do not support. Pure. */
export type WriteOperatorOrder = (command: OperatorCommand) => OperatorOrder | undefined;

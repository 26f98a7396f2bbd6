/** How many database sessions the processes of each kind open at most, for themselves and for whoever plans room for them. */
import type { ComponentKind } from './components.ts';

/** In its pool. A router has none; devices of an instance are served over others. */
export const poolSize = { server: 8, administration: 10, connection: 4, coordinator: 10 } as const satisfies Partial<
  Record<ComponentKind, number>
>;

/** Beside the pool, for notifications. */
export const listeningSessions = 1;

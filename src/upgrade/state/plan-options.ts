/** What an operator chose of an upgrade's options, which are stored as they are asked for: their shape is that of the API. */
import { type GateSettings, gateSettingsSchema } from '../../api/upgrade-options.ts';

export { type PlanOptions, planOptionsSchema } from '../../api/upgrade-options.ts';
export { type GateSettings, gateSettingsSchema };

const statisticalSettings = ['leastRequests', 'maxErrorRateDifference', 'patienceSeconds'] as const;

/** The settings, of three of them what an operator chose: unless chosen they are left to the statistic. */
export type ChosenGate = Pick<
  GateSettings,
  'latencyFactor' | 'latencySlackMs' | 'maxFailedDeliveryShare' | 'maxSilentDeliveryShare'
> &
  Partial<Pick<GateSettings, (typeof statisticalSettings)[number]>>;

/** A release writes its own defaults into the plan, and 1.1 knew no others: what equals them was not chosen. */
const defaults = gateSettingsSchema.parse({});

export function chosenGate(settings: GateSettings): ChosenGate {
  const chosen: ChosenGate = { ...settings };
  for (const name of statisticalSettings) if (settings[name] === defaults[name]) delete chosen[name];
  return chosen;
}

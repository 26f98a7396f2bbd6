/** The options of an upgrade, stored as they were requested: their shape is that of the API. */
import { type GateSettings, gateSettingsSchema } from '../../api/upgrade-options.ts';

const statisticalSettings = ['leastRequests', 'maxErrorRateDifference', 'patienceSeconds'] as const;

/** The settings of a gate. Three of them are present only if an operator chose them; otherwise statistics decide. */
export type ChosenGate = Pick<
  GateSettings,
  'latencyFactor' | 'latencySlackMs' | 'maxFailedDeliveryShare' | 'maxSilentDeliveryShare'
> &
  Partial<Pick<GateSettings, (typeof statisticalSettings)[number]>>;

/** Each release writes its defaults into the plan, and those of 1.1 were the same: what equals them was not chosen. */
const defaults = gateSettingsSchema.parse({});

export function chosenGate(settings: GateSettings): ChosenGate {
  const chosen: ChosenGate = { ...settings };
  for (const name of statisticalSettings) if (settings[name] === defaults[name]) delete chosen[name];
  return chosen;
}

/** Counts and times device requests for /metrics. */
import { Counter, Histogram, type Registry } from 'prom-client';
import type { Activation } from '../../activation/activation.ts';
import { addGauges } from '../../process/health.ts';
import type { DeviceHandlerOptions } from './serving.ts';

export function createRequestMetrics(registry: Registry): DeviceHandlerOptions['onAnswer'] {
  const requests = new Counter({
    name: 'bramble_device_requests_total',
    help: 'Device requests answered, by address and status.',
    labelNames: ['address', 'status'] as const,
    registers: [registry],
  });
  const seconds = new Histogram({
    name: 'bramble_device_request_seconds',
    help: 'Time from a device request to its answer.',
    labelNames: ['address'] as const,
    buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
    registers: [registry],
  });
  // Looking a child up by its labels costs more than counting does.
  const counters = new Map<string, ReturnType<typeof requests.labels>>();
  const timers = new Map<string, ReturnType<typeof seconds.labels>>();
  return (address, answer, latencyMs) => {
    const key = `${address} ${answer.status}`;
    remembered(counters, key, () => requests.labels({ address, status: answer.status })).inc();
    remembered(timers, address, () => seconds.labels({ address })).observe(latencyMs / 1000);
  };
}

/** Load of digests for activations: a guess with a valid selector costs some 40 ms of a core. */
export function addActivationMetrics(registry: Registry, { passwords }: Activation): void {
  new Counter({
    name: 'bramble_activation_comparisons_total',
    help: 'Activation passwords hashed for comparison.',
    registers: [registry],
    collect() {
      this.reset();
      this.inc(passwords.comparisons);
    },
  });
  addGauges(registry, {
    bramble_activations_waiting: {
      help: 'Activations waiting for their password to be checked.',
      value: () => passwords.waiting,
    },
  });
}

function remembered<Value>(known: Map<string, Value>, key: string, make: () => Value): Value {
  let value = known.get(key);
  if (value === undefined) {
    value = make();
    known.set(key, value);
  }
  return value;
}

/**
 * The states of a wave of an upgrade. *Soaking* is one wave's here: what has moved is observed and its gate asked. An upgrade
 * that is *soaking* has all its waves behind it (see upgrade-states.ts).
 *
 *                begun             moved               gate: pass
 *      waiting ───────▶ running ──────────▶ soaking ──────────────▶ passed
 *         │              ▲ ▲ │                │ │                    ▲
 *         │              │ └─┼── latecomers ──┘ │                    │
 *         │  resumed     │   ▼                  │ gate: fail         │
 *         │              └ failed ◀─────────────┘                    │
 *         └──────────────────────────────────────────────────────────┘  through *running*, for accounts that are followed only
 */
import { stateMachine } from '../../database/state-machine.ts';

export const waveStates = stateMachine({
  initial: ['waiting'],
  transitions: {
    waiting: ['running'],
    running: ['soaking', 'passed', 'failed'],
    soaking: ['running', 'passed', 'failed'],
    failed: ['running'],
    passed: [],
  },
  sets: {
    /** Begun and not passed. */
    begun: ['running', 'soaking', 'failed'],
  },
});

export type WaveState = (typeof waveStates.states)[number];

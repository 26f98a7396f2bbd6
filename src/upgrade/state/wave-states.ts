/**
 * The states of a wave of an upgrade. *Soaking* refers to one wave here: its moved accounts are observed and its gate
 * is evaluated. An upgrade that is *soaking* has completed all its waves (see upgrade-states.ts).
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

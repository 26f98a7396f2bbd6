/** What a supervisor reports, in the order in which it happens. */
export type SupervisorEvent =
  | { type: 'listening'; socket: 'public' | 'srp'; port: number }
  | { type: 'waiting-for-port'; socket: 'public' | 'srp'; port: number }
  | { type: 'database-ready'; adopted: boolean; pid: number | null }
  | { type: 'database-lost'; code: string; message: string }
  | { type: 'started'; name: string; kind: string; release: string; pid: number }
  | { type: 'ready'; name: string; pid: number }
  | { type: 'exited'; name: string; pid: number; code: number | null; signal: string | null; expected: boolean }
  | { type: 'restarting'; name: string; inMs: number }
  | { type: 'replaced'; name: string; fromRelease: string; toRelease: string; pid: number }
  | { type: 'refused'; name: string; code: string; message: string }
  | { type: 'stopped' };

export type OnEvent = (event: SupervisorEvent) => void;

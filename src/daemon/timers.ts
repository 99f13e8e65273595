/** Time as the main process sees it; tests put their own in its place. */
export interface Timers {
  /** Milliseconds since an arbitrary moment, never backwards. */
  now(): number;
  /** Calls once after so many milliseconds; what it returns takes the call back. */
  after(ms: number, call: () => void): () => void;
}

/** The time of the machine; a timer that runs keeps the process alive, as the wait for a restart has to. */
export const REAL_TIMERS: Timers = {
  now: () => performance.now(),
  after: (ms, call) => {
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  },
};

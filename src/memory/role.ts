/**
 * One party of the machine: the driver, the relay or the device.
 *
 * A worker loop, a seeded simulation, an explorer, a bench and a daemon all drive the same class through these calls.
 */
export interface Role {
  /** For messages and reports: "driver", "relay", "device". */
  readonly name: string;
  /** Does a bounded amount of work; true when there was any. */
  step(): boolean;
  /** Asks the peers to ring, then looks again; true when sleeping is safe. */
  arm(): boolean;
}

/** What survives from one step of a role to the next: numbers only, so that it can be saved, compared and restored. */
export interface Parts {
  /** Scalars by name. */
  readonly state: Record<string, number>;
  /** Tables, in a fixed order. */
  readonly tables: readonly (Int32Array | Float64Array)[];
}

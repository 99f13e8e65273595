import type { Job, JobResult } from "../driver/driver.js";
import type { MachineConfig, Waiting } from "../machine/config.js";
import type { FaultPlan } from "../machine/faults.js";
import type { DeviceShare, DriverShare, RelayShare } from "../machine/views.js";
import type { DataPathName } from "../relay/data-path.js";
import type { Accounting } from "../ring/driver-ring.js";

/** Everything that crosses threads but data: one union for each direction, nothing else is ever posted. */

/** How a thread waits when its roles have nothing to do. */
export interface WaitPolicy {
  readonly waiting: Waiting;
  /** Turns without work before it arms and sleeps; unused when polled. */
  readonly spins: number;
  /** How long a sleep may last before the thread looks whether a notification was lost; at least 1 s. */
  readonly timeoutMs: number;
}

interface Common {
  readonly config: MachineConfig;
  readonly wait: WaitPolicy;
  /** A fault to put in, where this thread is the one to have it. */
  readonly fault?: FaultPlan | undefined;
}

/** What the driver's thread starts with. */
export interface DriverStart extends Common {
  readonly share: DriverShare;
  readonly latency: SharedArrayBuffer;
  readonly input: SharedArrayBuffer;
  /** Bytes of `input` that count. */
  readonly inputBytes: number;
  /** In a gate phase: a copy of guest RAM that takes the driver's stores, region by region. */
  readonly mirror?: readonly SharedArrayBuffer[] | undefined;
}

/** What the relay's thread starts with. */
export interface RelayStart extends Common {
  readonly share: RelayShare;
}

/** What the device's thread starts with. */
export interface DeviceStart extends Common {
  readonly share: DeviceShare;
  /** File under a blk device, and how long it is to be. */
  readonly image?: { readonly path: string; readonly bytes: number } | undefined;
  /** In a gate phase: per region and page, how often the device wrote it. */
  readonly stamps?: readonly SharedArrayBuffer[] | undefined;
}

/** What a thread for relay and device starts with. */
export interface FusedStart extends Common {
  readonly relay: RelayStart;
  readonly device: DeviceStart;
}

/** What a thread for all three roles starts with. */
export interface InlineStart extends FusedStart {
  readonly driver: DriverStart;
}

/** Main → worker. The sender rings the worker's bell after posting. */
export type Command =
  /** Driver: do these requests of a pass, then answer "job". */
  | { readonly kind: "job"; readonly job: Job }
  /** Driver: whole passes for at least this long, then answer "window". */
  | { readonly kind: "window"; readonly minNs: number; readonly firstPass: number }
  /** Relay: go over to another data path; answered by "switched". */
  | { readonly kind: "path"; readonly path: DataPathName }
  /** Anyone: between two steps, answer "synced". */
  | { readonly kind: "sync"; readonly token: number }
  /** Anyone: sleep until the next command, also where this thread polls. */
  | { readonly kind: "rest" }
  /** Anyone: let go of everything and end. */
  | { readonly kind: "stop" };

/** What a timed window came to. */
export interface WindowResult {
  readonly passes: number;
  readonly requests: number;
  /** Time from the first submission to the last completion of each pass, summed. */
  readonly ns: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly refused: number;
  /** Whether every pass brought back what was sent. */
  readonly equal: boolean;
  /** Of what the last pass brought back. */
  readonly sha256: string;
  readonly fault: string | undefined;
}

/** Worker → main. */
export type Report =
  | { readonly kind: "ready"; readonly tid: number | null }
  /** The driver has gone through its eight steps. */
  | { readonly kind: "live" }
  | {
      readonly kind: "job";
      readonly result: JobResult;
      readonly received: { equal: boolean; sha256: string } | undefined;
    }
  | { readonly kind: "window"; readonly result: WindowResult }
  /** The relay has shown the guest its device, without these features. */
  | { readonly kind: "offered"; readonly refusals: readonly string[] }
  | { readonly kind: "switched"; readonly path: DataPathName }
  | { readonly kind: "synced"; readonly token: number; readonly accounting: readonly Accounting[] }
  /** A wait ended by timeout, found work, and the bell did not ring for it. */
  | { readonly kind: "lost-notification"; readonly role: string }
  /** The file under a device failed. */
  | { readonly kind: "host-error"; readonly message: string }
  /** A queue was broken over a peer's fault. */
  | { readonly kind: "peer-fault"; readonly role: string; readonly message: string }
  /** A mistake of ours or an error nobody foresaw. */
  | { readonly kind: "failed"; readonly message: string; readonly stack: string | undefined };

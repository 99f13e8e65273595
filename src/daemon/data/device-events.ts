import type { DATAPATHS } from "../control-messages.js";

/** The data path that a device is asked to take. */
export type Datapath = (typeof DATAPATHS)[number];
/** The data path that is really in use. */
export type PathInUse = "svq" | "passthrough";

/** What a device tells those who watch it. */
export interface DeviceEvents {
  readonly pathChanged: (from: PathInUse, to: PathInUse, why: string, pauseNs: number) => void;
  readonly logging: (on: boolean) => void;
  readonly queueBroken: (queue: number, reason: string) => void;
}

/** A time during which the guest's queues stood still. */
export interface Pause {
  readonly ns: number;
  readonly why: string;
}

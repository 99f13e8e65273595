import type { DATAPATHS } from "../control-messages.js";
import type { DataOptions } from "./data-options.js";
import type { FdLoop } from "./fd-loop.js";
import type { Patience } from "./patience.js";

/** The data path that a device is asked to take. */
export type Datapath = (typeof DATAPATHS)[number];
/** The data path that is really in use. */
export type PathInUse = "svq" | "passthrough";

/** What a device tells those who watch it. */
interface DeviceEvents {
  readonly pathChanged: (from: PathInUse, to: PathInUse, why: string, pauseNs: number) => void;
  readonly logging: (on: boolean) => void;
  readonly queueBroken: (queue: number, reason: string) => void;
}

/** A time during which the guest's queues stood still. */
export interface Pause {
  readonly ns: number;
  readonly why: string;
}

/** What a device is made with, beside its back end. */
export interface DeviceGround {
  readonly loop: FdLoop;
  readonly options: DataOptions;
  readonly patience: Patience;
  readonly events: DeviceEvents;
}

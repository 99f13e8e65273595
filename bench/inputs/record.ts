import { type BitmapCase, recordBitmap } from "./bitmap-input.js";
import { type IovaCase, recordIova } from "./iova-input.js";
import { type RelayCase, recordRelay } from "./relay-input.js";
import { type RingCase, recordRing } from "./ring-input.js";
import { recordTracker, type TrackerCase } from "./tracker-input.js";

/** A piece of work: a kernel's family and what it is to do. */
export type Work =
  | ({ readonly kind: "relay" } & RelayCase)
  | ({ readonly kind: "iova" } & IovaCase)
  | ({ readonly kind: "bitmap" } & BitmapCase)
  | ({ readonly kind: "ring" } & RingCase)
  | ({ readonly kind: "tracker" } & TrackerCase)
  | ({ readonly kind: "machine" } & MachineCase);

/** Where a machine's relay can run; the input holds the number. */
export const MACHINE_PLACEMENTS = ["threads", "fused"] as const;
/** How a machine's threads can wait; the input holds the number. */
export const MACHINE_WAITINGS = ["auto", "polled", "notified", "adaptive"] as const;

/** Which way a machine's requests take; the input holds the number. */
export const MACHINE_PATHS = ["svq", "passthrough"] as const;

/** A whole machine in threads, with a way of waiting. */
interface MachineCase {
  readonly path: (typeof MACHINE_PATHS)[number];
  readonly placement: (typeof MACHINE_PLACEMENTS)[number];
  readonly waiting: (typeof MACHINE_WAITINGS)[number];
}

/** Records the input of a piece of work; the same work gives the same words. */
export function record(work: Work): Int32Array {
  switch (work.kind) {
    case "relay":
      return recordRelay(work);
    case "iova":
      return recordIova(work);
    case "bitmap":
      return recordBitmap(work);
    case "ring":
      return recordRing(work);
    case "tracker":
      return recordTracker(work);
    case "machine":
      return Int32Array.of(
        MACHINE_PLACEMENTS.indexOf(work.placement),
        MACHINE_WAITINGS.indexOf(work.waiting),
        MACHINE_PATHS.indexOf(work.path),
      );
  }
}

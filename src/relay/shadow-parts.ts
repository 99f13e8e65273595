import type { GpaMap } from "../iova/gpa-map.js";
import type { Notifier } from "../memory/bell.js";
import type { GuestMemory } from "../memory/guest-memory.js";
import type { VringAreas } from "../ring/vring-areas.js";
import type { GuestMarks } from "./guest-marks.js";
import type { ShadowBooks } from "./shadow-books.js";

/** What a shadow virtqueue is made of. */
export interface ShadowVirtqueueParts {
  /** The ring the driver wrote; addresses in its descriptors are guest physical. */
  readonly guest: VringAreas;
  /** The ring the relay owns and the device sees; addresses are IOVAs. */
  readonly shadow: VringAreas;
  readonly guestMemory: GuestMemory;
  readonly map: GpaMap;
  /** Marks the guest's pages while somebody logs. */
  readonly marks: GuestMarks;
  readonly eventIdx: boolean;
  readonly indirect: boolean;
  /** Tells the device that chains are available. */
  readonly deviceKick: Pick<Notifier, "signal">;
  /** Tells the guest that chains were used. */
  readonly guestCall: Pick<Notifier, "signal">;
  readonly counters: Float64Array;
  /** Where the guest's ring stands when the relay takes over. */
  readonly start: { readonly lastAvailIdx: number; readonly usedIdx: number };
  /** Private books to go on with, as parts() listed them; new ones otherwise. */
  readonly books?: ShadowBooks;
}

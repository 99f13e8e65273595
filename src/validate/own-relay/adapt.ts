import { VHOST_ACCESS_RO, VHOST_ACCESS_WO } from "../../layout/vhost.js";
import { FRAME_SPAN_BYTES, type Gpa, PAGE_BYTES } from "../../memory/address.js";
import type { Heartbeat } from "../../memory/heartbeat.js";
import type { SharedMemory } from "../../memory/shared-memory.js";
import type { ShadowVirtqueueParts } from "../../relay/shadow-parts.js";
import type { Accounting } from "../../ring/driver-ring.js";
import { PEER_FAULTS, PeerFault } from "../../ring/peer-fault.js";
import type { VringAreas } from "../../ring/vring-areas.js";
import { Violation } from "../oracles/violation.js";
import type { MakeRelay, RelayUnderTest } from "../rig/rig.js";
import { type CreateRelay, METHODS, OFFERS, type OwnParts, type OwnRelay, type Piece } from "./interface.js";
import { Pulse, PulseMemory } from "./pulse-memory.js";

/** Pieces of buffers of 2^31 bytes and more, so that any relay can count their pages in int32. */
const PIECE_BYTES_MAX = 2 ** 31 - PAGE_BYTES;
const TABLE_BYTES_MAX = 2 ** 20;

/** Makes somebody's relay one that a rig can run; what it does wrong outside of memory is a violation too. */
export function adapt(createRelay: CreateRelay, heart?: Heartbeat): MakeRelay {
  return (parts) => new AdaptedRelay(createRelay, parts, new Pulse(heart));
}

/** Says what a relay lacks to be one; undefined when it has everything. */
export function lacks(relay: unknown): string | undefined {
  if (typeof relay !== "object" || relay === null) return "createRelay() gives no object";
  const missing = METHODS.find((name) => typeof (relay as Partial<OwnRelay>)[name] !== "function");
  if (missing !== undefined) return `its relay has no ${missing}()`;
  const odd = OFFERS.find((name) => !["function", "undefined"].includes(typeof (relay as Partial<OwnRelay>)[name]));
  return odd === undefined ? undefined : `its relay's ${odd} is no method`;
}

/** What a relay is given beside its parts: what another one saved, or memory for its record. */
export type Legacy = Pick<OwnParts, "saved" | "record">;

/** Somebody's relay as one that can be run; what it throws where no peer is involved is a violation. */
export class AdaptedRelay implements RelayUnderTest {
  readonly #pulse: Pulse;
  readonly #relay: OwnRelay | undefined;
  readonly #unmade: unknown;

  constructor(createRelay: CreateRelay, parts: ShadowVirtqueueParts, pulse: Pulse, legacy: Legacy = {}) {
    this.#pulse = pulse;
    pulse.turn();
    try {
      const relay = createRelay({ ...ownParts(parts, pulse), ...legacy });
      const wrong = lacks(relay);
      if (wrong !== undefined) throw new Violation("O8", 36, wrong);
      this.#relay = relay;
    } catch (error) {
      // Whoever makes a relay expects no violation yet: it comes with the first turn.
      this.#unmade = error;
    }
  }

  step(): boolean {
    return this.#call("step");
  }

  arm(): boolean {
    return this.#call("arm");
  }

  /** Anything that it throws is its fault: no peer is involved any more. */
  abandon(): void {
    if (this.#relay === undefined) return;
    this.#pulse.turn();
    named("abandon", () => this.#relay!.abandon());
    this.#pulse.check();
  }

  accounting(): Accounting {
    // A rig takes undefined for "it does not say".
    return named("accounting", () => this.#relay?.accounting?.()) as Accounting;
  }

  /** Whether it can be saved. */
  get saves(): boolean {
    return this.#relay?.save !== undefined;
  }

  /** All that it remembers; throws Violation when it cannot say. */
  save(): unknown {
    if (this.#relay === undefined) throw this.#unmade;
    return named("save", () => this.#relay!.save!());
  }

  /** Takes the place of one that died. */
  recover(): void {
    if (this.#relay === undefined) throw this.#unmade;
    this.#pulse.turn();
    try {
      this.#relay.recover!();
    } finally {
      this.#pulse.check();
    }
  }

  #call(what: "step" | "arm"): boolean {
    if (this.#relay === undefined) throw this.#unmade;
    this.#pulse.turn();
    let answer: unknown;
    try {
      answer = this.#relay[what]();
    } finally {
      this.#pulse.check();
    }
    if (typeof answer === "boolean") return answer;
    throw new Violation("O8", 36, `${what}() gives ${answer === null ? "null" : typeof answer}, and no boolean`);
  }
}

function named<T>(what: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (error instanceof Violation) throw error;
    throw new Violation("O8", 36, `${what}() threw ${String(error)}`);
  }
}

function ownParts(parts: ShadowVirtqueueParts, pulse: Pulse): OwnParts {
  const { guest, shadow, guestMemory, eventIdx, indirect, start, marks, deviceKick, guestCall } = parts;
  return {
    guest: withPulse(guest, pulse),
    shadow: withPulse(shadow, pulse),
    eventIdx,
    indirect,
    start,
    translate: (gpa, bytes, writable) => translated(parts, gpa, bytes, writable),
    copyTable(gpa, bytes) {
      if (!(bytes > 0 && bytes <= TABLE_BYTES_MAX)) throw new RangeError(`an indirect table of ${bytes} bytes`);
      const table = new Uint8Array(bytes);
      return pulse.access(() => guestMemory.copyOut(gpa, table)) ? new DataView(table.buffer) : undefined;
    },
    // The log may come and go.
    mark: (gpa, bytes) => void pulse.access(() => marks.log?.markRange(gpa, bytes)),
    markUsedEntries: (from, to) => pulse.access(() => marks.usedEntries(from, to)),
    markEventWord: () => pulse.access(() => marks.eventWord()),
    kickDevice: () => pulse.access(() => deviceKick.signal()),
    callGuest: () => pulse.access(() => guestCall.signal()),
    outcomeOf(reason) {
      return PEER_FAULTS[reason] === "quarantine" ? "quarantine" : "break-queue";
    },
    fault(reason) {
      if (!Object.hasOwn(PEER_FAULTS, reason)) throw new TypeError(`there is no fault ${String(reason)}`);
      throw new PeerFault(reason, "as the relay says");
    },
  };
}

function withPulse(ring: VringAreas, pulse: Pulse): VringAreas {
  const { descMemory, availMemory, usedMemory } = ring;
  const known = new Map<SharedMemory, PulseMemory>();
  const counted = (memory: SharedMemory): PulseMemory => {
    const there = known.get(memory) ?? new PulseMemory(memory, pulse);
    known.set(memory, there);
    return there;
  };
  return {
    ...ring,
    descMemory: counted(descMemory),
    availMemory: counted(availMemory),
    usedMemory: counted(usedMemory),
  };
}

/** A guest range as the device reaches it, mapping by mapping; an empty one needs an address that could hold bytes. */
function translated(
  { map }: Pick<ShadowVirtqueueParts, "map">,
  gpa: number,
  bytes: number,
  writable: boolean,
): readonly Piece[] | "address-unmapped" | "permission-denied" {
  const pieces: Piece[] = [];
  const most = bytes < 2 ** 31 ? bytes : PIECE_BYTES_MAX;
  let done = 0;
  do {
    const at = gpa + done;
    const mapping = at < FRAME_SPAN_BYTES ? map.find(at as Gpa) : undefined;
    if (mapping === undefined) return "address-unmapped";
    if ((mapping.perm & (writable ? VHOST_ACCESS_WO : VHOST_ACCESS_RO)) === 0) return "permission-denied";
    const into = at - mapping.gpa;
    const length = Math.min(bytes - done, mapping.bytes - into, most);
    if (length > 0) pieces.push({ iova: mapping.iova + into, bytes: length });
    done += length;
  } while (done < bytes);
  return pieces;
}

import type { RigSetup } from "./world.js";

/** A descriptor as a guest may write it: any u64, any u32, any flags. */
export interface RawDescriptor {
  readonly address: bigint;
  readonly length: number;
  readonly flags: number;
  readonly next: number;
}

/** A store by a hostile guest or device, past all rules: SPACE, offset, width in bytes, value. */
export interface Poke {
  readonly space: number;
  readonly offset: number;
  readonly width: 1 | 2 | 4;
  readonly value: number;
}

/** One element of a chain that follows the rules. */
export interface Element {
  readonly gpa: number;
  readonly bytes: number;
  readonly writable: boolean;
}

/**
 * What happens in a rig, one thing at a time; plain data, so that a program can be kept, shrunk and replayed.
 *
 * An action that cannot be done (no free descriptor, nothing in flight) does nothing.
 */
export type Action =
  /** The guest lays out a chain and puts it into its avail ring, not yet visible. */
  | { readonly op: "offer"; readonly elements: readonly Element[]; readonly form: "direct" | "indirect" | "mixed" }
  /** The same with descriptors as they are, from slot `slot` on; `table`: bytes of an indirect table at TABLES_GPA. */
  | {
      readonly op: "offer-raw";
      readonly slot: number;
      readonly descriptors: readonly RawDescriptor[];
      readonly table?: readonly RawDescriptor[];
    }
  /** The guest puts a head into its avail ring, whatever it is. */
  | { readonly op: "offer-head"; readonly head: number }
  /** The guest moves avail.idx over what it offered, and `jump` further; kicks by the rule. */
  | { readonly op: "publish"; readonly jump?: number }
  /** The relay takes a turn; when it finds nothing it arms, and sleeps if it may. */
  | { readonly op: "relay" }
  /** The device takes every available chain. */
  | { readonly op: "take" }
  /** The device writes into the nth chain it has, and returns it; not yet visible. `claim` is the length it reports. */
  | { readonly op: "use"; readonly nth: number; readonly bytes: number; readonly claim?: number }
  /** The device puts an entry into the shadow used ring, whatever it says. */
  | { readonly op: "use-raw"; readonly id: number; readonly length: number }
  /** The device moves used.idx over what it returned, and `jump` further; calls by the rule. */
  | { readonly op: "publish-used"; readonly jump?: number }
  /** The guest takes back what was used. */
  | { readonly op: "reap" }
  /** A migration takes the log and copies what is marked. */
  | { readonly op: "harvest" }
  /** A peer stores past all rules. */
  | { readonly op: "poke"; readonly by: "guest" | "device"; readonly poke: Poke }
  /** The same in the midst of a turn: before the relay's access number `access`, counted from here. */
  | { readonly op: "ambush"; readonly by: "guest" | "device"; readonly access: number; readonly poke: Poke }
  /** A migration takes the log and copies in the midst of a turn; breaks no rule. */
  | { readonly op: "ambush-harvest"; readonly access: number };

/** Everything a run depends on. */
export interface Program {
  readonly setup: RigSetup;
  readonly actions: readonly Action[];
}

/** Whether any action breaks the rules of the side that takes it. */
export function hostileSides(program: Program): { guest: boolean; device: boolean } {
  let [guest, device] = [false, false];
  for (const action of program.actions) {
    if (action.op === "offer-raw" || action.op === "offer-head") guest = true;
    else if (action.op === "publish") guest ||= (action.jump ?? 0) !== 0;
    else if (action.op === "use-raw") device = true;
    else if (action.op === "publish-used") device ||= (action.jump ?? 0) !== 0;
    else if (action.op === "use") device ||= action.claim !== undefined && action.claim !== action.bytes;
    else if (action.op === "poke" || action.op === "ambush") {
      guest ||= action.by === "guest";
      device ||= action.by === "device";
    }
  }
  return { guest, device };
}

import type { SimulatedMachine } from "./simulated-machine.js";
import type { SimulatedMemory } from "./simulated-memory.js";

/** Everything a party can do that others may notice: the verbs of SharedMemory, ringing a bell, taking a ring. */
export const ACCESS_KINDS = [
  "read16",
  "read32",
  "copyOut",
  "write16",
  "write32",
  "copyIn",
  "observe16",
  "publish16",
  "setBits32",
  "takeBits32",
  "fence",
  "ring",
  "take",
] as const;
/** One of ACCESS_KINDS. */
export type AccessKind = (typeof ACCESS_KINDS)[number];

/** One access, before it takes effect. */
export interface Access {
  readonly party: string;
  readonly kind: AccessKind;
  /** The region; undefined for a bell. */
  readonly memory: SimulatedMemory | undefined;
  /** The region's name, or "bell of " and its owner. */
  readonly place: string;
  /** First byte; 0 for a fence and for bells. */
  readonly offset: number;
  /** Bytes touched; 0 for a fence and for bells. */
  readonly bytes: number;
  /** What is stored, as a number or as the bytes of a copyIn; undefined for everything else. */
  readonly value: number | Uint8Array | undefined;
}

/** Another answer for a verb that gives one: a number, or for copyOut as many bytes as it asked for. */
interface Replacement {
  readonly replace: number | Uint8Array;
}

/**
 * Runs before each access: may throw (the access then never happened), drain or run other parties, change bytes, and
 * replace what a read gives.
 *
 * What it does through ports calls it again; it keeps itself from running away.
 */
export type AccessHook = (access: Access) => Replacement | undefined;

/** Runs after each store has become visible to everybody. */
export type VisibleHook = (party: string, memory: SimulatedMemory, offset: number, bytes: number) => void;

/** Decides before each access which pending stores drain first. */
export type DrainPolicy = (machine: SimulatedMachine) => void;

import type { Replay } from "../trace/replay.js";
import type { Broken, OwnProfile, Stage } from "./judge.js";

/** What a worker is to do. */
export interface OwnJob {
  /** URL of the relay module. */
  readonly url: string;
  readonly seed: number;
  readonly profile: OwnProfile;
  /** A trace whose program is to be run, and nothing else. */
  readonly trace?: Uint8Array | undefined;
  /** Of a Heartbeat. */
  readonly heart: SharedArrayBuffer;
}

/** What of a broken oracle can cross threads: its program and what it did, as a trace. */
export interface BrokenMessage extends Omit<Broken, "program"> {
  readonly trace?: Uint8Array;
}

/** What a worker says. */
export type OwnMessage =
  /** A stage begins. */
  | { readonly kind: "stage"; readonly stage: Stage | "heap" | "trace" }
  /** What a stage has found. */
  | { readonly kind: "found"; readonly broken: readonly BrokenMessage[] }
  /** What came of the program of a trace, and the trace of that. */
  | { readonly kind: "replayed"; readonly again: Replay; readonly now: Uint8Array }
  /** The module cannot be used at all. */
  | { readonly kind: "unusable"; readonly why: string }
  /** Everything was done. */
  | { readonly kind: "done" };

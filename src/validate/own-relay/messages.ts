import type { Replay } from "../trace/replay.js";
import type { Again } from "./again.js";
import type { OwnCoverage } from "./coverage.js";
import type { Broken, OwnProfile, Stage } from "./judge.js";

/** Programs in a rig; every order of accesses, and every death. */
export type OwnPart = "rig" | "explore";

/** What a worker is to do. */
export interface OwnJob {
  /** URL of the relay module. */
  readonly url: string;
  readonly seed: number;
  readonly profile: OwnProfile;
  readonly only?: OwnPart | undefined;
  /** A trace whose program is to be run, and nothing else. */
  readonly trace?: Uint8Array | undefined;
  /** What is to be looked at again, and nothing else. */
  readonly again?: Again | undefined;
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
  | { readonly kind: "stage"; readonly stage: Stage | "first run" | "heap" | "explorer" | "crash points" | "trace" }
  /** What a stage has found. */
  | { readonly kind: "found"; readonly broken: readonly BrokenMessage[] }
  /** How much was explored, and at how many points it was killed. */
  | { readonly kind: "covered"; readonly coverage: OwnCoverage }
  /** What came of the program of a trace, and the trace of that. */
  | { readonly kind: "replayed"; readonly again: Replay; readonly now: Uint8Array }
  /** The module cannot be used at all. */
  | { readonly kind: "unusable"; readonly why: string }
  /** Everything was done. */
  | { readonly kind: "done" };

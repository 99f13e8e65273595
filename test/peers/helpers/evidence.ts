import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { packageRoot } from "../../../src/workers/worker-url.js";

/** What a test with real peers leaves for whoever asks what was run, with what, and whether it could have failed. */
export interface Evidence {
  /** Versions by peer, from versionsOf(). */
  readonly peers: Readonly<Record<string, string>>;
  /** What the relay counted; absent where there was none. */
  readonly relay?: { readonly requests: number; readonly bytes: number; readonly switches: number };
  readonly md5?: { readonly expected: string; readonly got: string };
  /** The same test without what it is about, and whether it failed then. */
  readonly control?: { readonly name: string; readonly failed_as_expected: boolean };
  /** Figures that say how it went. */
  readonly figures?: Readonly<Record<string, number | string>>;
}

/** Appends a line to test/peers/evidence.jsonl; call it last, since a test that failed has no evidence. */
export function leaveEvidence(evidence: Evidence): void {
  const line = { test: expect.getState().currentTestName, at: new Date().toISOString(), ...evidence };
  appendFileSync(join(packageRoot(), "test", "peers", "evidence.jsonl"), `${JSON.stringify(line)}\n`);
}

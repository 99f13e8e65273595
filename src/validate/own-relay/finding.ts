import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { UsageError } from "../../report/exit-codes.js";
import type { OracleId } from "../oracles/violation.js";
import type { TimelineStep } from "../trace/timeline.js";
import type { Again } from "./again.js";
import type { OwnProfile } from "./judge.js";

/** What explorer or crash points found, in a file: all that is needed to find it again. */
export interface OwnFinding {
  readonly schema: "shadowvq.own-finding/1";
  readonly seed: number;
  readonly profile: OwnProfile;
  readonly again: Again;
  readonly oracle: OracleId;
  readonly invariant: number;
  readonly where: string;
  readonly what: string;
  /** The way there, whole; empty where none was recorded. */
  readonly steps: readonly TimelineStep[];
}

const SCHEMA = "shadowvq.own-finding/1";

/** Writes a finding to a file named by its contents, and gives the name; throws UsageError when that fails. */
export function writeFinding(folder: string, finding: Omit<OwnFinding, "schema">): string {
  const text = `${JSON.stringify({ schema: SCHEMA, ...finding }, undefined, 1)}\n`;
  const file = join(folder, `svq-${createHash("sha256").update(text).digest("hex").slice(0, 8)}.json`);
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw new UsageError(`cannot write finding ${file}: ${(error as NodeJS.ErrnoException).code}`, { cause: error });
  }
  return file;
}

/** Reads a finding; undefined for a file that is none, such as a trace, which has a reader of its own. */
export function readFinding(file: string): OwnFinding | undefined {
  if (!file.endsWith(".json")) return undefined;
  try {
    const finding = JSON.parse(readFileSync(file, "utf8")) as OwnFinding;
    if (finding.schema === SCHEMA && isAgain(finding.again)) return finding;
  } catch (error) {
    throw new UsageError(`cannot read finding ${file}: ${(error as Error).message}`, { cause: error });
  }
  throw new UsageError(`cannot read finding ${file}: it is no ${SCHEMA}`);
}

/** Whether it can be run: sizes beyond those of a validation would run for ever. */
function isAgain(again: Again): boolean {
  if (again.kind === "crash") return Array.isArray(again.kills) && [1, 2, 3, 4].includes(again.scenario.chains);
  const { kind, memory, ring, requests } = again;
  return kind === "explorer" && ["sc", "tso", "pso"].includes(memory) && [1, 2].includes(ring) && requests === 2;
}

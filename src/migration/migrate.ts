import type { Blocker } from "../dirty/blockers.js";
import { errnoName } from "../layout/errno.js";
import type { MigrationOutcome, MigrationParts } from "./migration.js";
import type { Verdict } from "./oracle.js";
import { precopyRounds } from "./precopy.js";
import { MigrationEnd, Session } from "./session.js";
import { stopAndCopy } from "./stop-copy.js";

/**
 * Migrates a guest: sets up, sends rounds while it runs, stops it, sends the rest, and lets it go on elsewhere.
 *
 * Where it is cancelled or fails, the guest goes on where it is, and trackers and shadow virtqueue are as before. What
 * is known to be impossible is not tried.
 */
export async function migrate(parts: MigrationParts): Promise<MigrationOutcome> {
  const session = new Session(parts);
  const known = parts.blockers?.[0];
  if (known !== undefined) return blocked(session, known);
  session.events.note("setup");
  const refusal = parts.hooks?.setUp()[0];
  if (refusal !== undefined) return blocked(session, refusal);
  let verdict: Verdict | undefined;
  let converged = false;
  let failure: string | undefined;
  try {
    startTracking(session);
    converged = await precopyRounds(session);
    if (!converged) session.events.note("not_converged", { rounds: session.round });
    verdict = await stopAndCopy(session);
    stopTracking(session);
    parts.guest.moveTo(parts.destination);
    finish(session, "completed");
  } catch (error) {
    if (!(error instanceof MigrationEnd)) throw error;
    failure = error.message;
    recover(session, error);
  }
  return outcome(session, { verdict, converged, failure });
}

function startTracking(session: Session): void {
  const { trackers, oracle } = session.parts;
  const started = trackers.start();
  if (started.result < 0) {
    throw new MigrationEnd("failed", `${started.tracker ?? "a tracker"} did not start: ${errnoName(started.result)!}`);
  }
  oracle?.begin();
  session.status = "active";
  session.events.note("log_global_start");
}

function stopTracking(session: Session): void {
  const { trackers, oracle, hooks } = session.parts;
  oracle?.end();
  trackers.stop();
  session.events.note("log_global_stop");
  hooks?.tearDown();
}

/** Leaves the source as it was before: running, and nobody in its way. */
function recover(session: Session, end: MigrationEnd): void {
  const stopped = session.status === "device";
  if (stopped) session.parts.guest.resume();
  stopTracking(session);
  if (stopped) session.events.note("source_resumed");
  finish(session, end.status);
}

function finish(session: Session, status: MigrationOutcome["status"]): void {
  session.status = status;
  session.events.note(status);
  session.report();
}

function blocked(session: Session, blocker: Blocker): MigrationOutcome {
  session.status = "blocked";
  session.events.note("blocked", { name: blocker.name });
  return { ...outcome(session, { verdict: undefined, converged: false, failure: blocker.reason }), blocker };
}

function outcome(session: Session, end: Pick<MigrationOutcome, "verdict" | "converged" | "failure">): MigrationOutcome {
  return {
    ...end,
    status: session.status,
    blocker: undefined,
    rounds: session.round,
    roundBytes: session.roundBytes,
    totalBytes: session.sentBytes,
    downtimeNs: session.downtimeNs,
    throttlePercent: session.throttlePercent,
    degraded: session.parts.trackers.degraded,
    events: session.events.events,
  };
}

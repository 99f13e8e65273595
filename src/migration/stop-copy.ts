import type { Verdict } from "./oracle.js";
import { MigrationEnd, type Session } from "./session.js";

/**
 * Stops the guest, sends the rest, and hands over (specification 5.4, switchover).
 *
 *     vCPUs stop ──► devices rest ──► trackers give up what they hold ──► last sync ──► rest ──► destination starts
 *
 * Only the order makes the last sync the last: after it nobody writes. Throws MigrationEnd where it cannot be finished;
 * the source has all it needs to go on.
 */
export async function stopAndCopy(session: Session): Promise<Verdict | undefined> {
  const { guest, trackers, destination, oracle, faults } = session.parts;
  const stoppedNs = session.clock.now();
  session.status = "device";
  session.events.note("switchover", { remainingBytes: session.remainingBytes() });
  guest.stop();
  session.events.note("guest_stopped");
  trackers.settle();
  session.sync(true);
  session.roundBytes.push(await session.sendAll((pages) => pass(session, pages)));
  const verdict = oracle?.judge(guest.ram, destination);
  if (faults?.destination?.() === false) throw new MigrationEnd("failed", "the destination could not start");
  session.downtimeNs = session.clock.now() - stoppedNs;
  return verdict;
}

async function pass(session: Session, pages: number): Promise<void> {
  await session.clock.pass(session.pacer.takesNs(pages));
}

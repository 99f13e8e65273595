import type { Session } from "./session.js";

/**
 * Sends rounds while the guest runs, until what is left fits into the downtime (specification 5.4).
 *
 *     round 1: all of RAM ──► sync ──► fits? ──► stop-copy.ts
 *                 ▲                      │ no
 *                 └── what became dirty ◄┘
 *
 * A round takes every mark before it copies any page: a page written after its mark was taken is marked again, and goes
 * with the next round. True when it fits; false when the rounds are used up.
 */
export async function precopyRounds(session: Session): Promise<boolean> {
  const { roundsMax } = session.parts.parameters;
  for (;;) {
    if (session.fits(session.remainingBytes())) return true;
    if (session.round >= roundsMax) return false;
    await sendRound(session);
    session.sync();
  }
}

async function sendRound(session: Session): Promise<void> {
  session.round += 1;
  session.events.note("round", { round: session.round, remainingBytes: session.remainingBytes() });
  session.report();
  const bytes = await session.sendAll((pages) => session.live(pages));
  session.roundBytes.push(bytes);
}

/**
 * Stops on a mistake of ours; `claim` is the sentence that should have been true.
 *
 * Never used for what a peer or a user can cause: those end in a PeerFault or a UsageError.
 */
export function assert(condition: boolean, claim: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${claim}`);
}

/**
 * What a vhost-user peer can send that is wrong, by name, and what each costs it: a closed list.
 *
 * - "close": the byte stream can no longer be followed, or the peer does not speak the protocol.
 * - "error-reply": the message was read whole and changed nothing; a sender that asked for a reply gets one that is not
 *   zero, any other loses the connection (`faultAction`).
 */
export const MESSAGE_FAULTS = {
  // The byte stream.
  "version-unknown": "close",
  "flags-reserved": "close",
  "reply-in-request": "close",
  "size-over-limit": "close",
  "fds-over-limit": "close",
  "fds-truncated": "close",
  "fds-mid-message": "close",
  "stream-cut": "close",
  // The message against the table and the session.
  "request-unknown": "error-reply",
  "size-mismatch": "error-reply",
  "fd-count": "error-reply",
  "not-negotiated": "error-reply",
  "feature-not-offered": "error-reply",
  "wrong-state": "error-reply",
  "ring-index": "error-reply",
  // The payload.
  "number-over-limit": "error-reply",
  "region-count": "error-reply",
  "region-empty": "error-reply",
  "region-wraps": "error-reply",
  "region-misaligned": "error-reply",
  "region-overlap": "error-reply",
  "region-contradiction": "error-reply",
  "region-unknown": "error-reply",
  "ring-size": "error-reply",
  "ring-base": "error-reply",
  "ring-misaligned": "error-reply",
  "ring-wraps": "error-reply",
  "value-reserved": "error-reply",
  "log-range": "error-reply",
  "config-range": "error-reply",
  "inflight-shape": "error-reply",
  // A reply, where the relay is the front end.
  "reply-missing": "close",
  "reply-request": "close",
  "reply-size": "close",
  "reply-fds": "close",
} as const satisfies Record<string, MessageOutcome>;

/** How a message fault ends. */
export type MessageOutcome = "error-reply" | "close";
/** The name of a message fault. */
export type MessageFaultReason = keyof typeof MESSAGE_FAULTS;

/** Thrown, or returned, where a message is found wrong; whoever owns the connection carries out the outcome. */
export class MessageFault extends Error {
  readonly reason: MessageFaultReason;

  constructor(reason: MessageFaultReason, detail: string) {
    super(`${reason}: ${detail}`);
    this.name = "MessageFault";
    this.reason = reason;
  }

  /** What this fault costs the peer. */
  get outcome(): MessageOutcome {
    return MESSAGE_FAULTS[this.reason];
  }
}

/** Throws a MessageFault unless `holds`. */
export function demand(holds: boolean, reason: MessageFaultReason, detail: string): asserts holds {
  if (!holds) throw new MessageFault(reason, detail);
}

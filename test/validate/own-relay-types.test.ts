/** The interface that examples/ shows is the one that is run: the compiler compares them in both directions. */
import { expect, test } from "vitest";
import type * as shown from "../../examples/relay-interface.js";
import type { SharedMemory } from "../../src/memory/shared-memory.js";
import type { InflightRecord } from "../../src/relay/inflight-record.js";
import type { ShadowVirtqueue } from "../../src/relay/shadow-virtqueue.js";
import { type FaultReason, PEER_FAULTS } from "../../src/ring/peer-fault.js";
import type { VringAreas } from "../../src/ring/vring-areas.js";
import type { CreateRelay, OwnParts, OwnRecord, OwnRelay } from "../../src/validate/own-relay/interface.js";
import type { RelayUnderTest } from "../../src/validate/rig/rig.js";

/** Compiles only where `A` can stand for `B`. */
type StandsFor<A extends B, B> = A;

/** All of it: a line that is wrong does not compile. */
type Agreed = [
  shipping: StandsFor<ShadowVirtqueue, shown.Relay>,
  underTest: StandsFor<RelayUnderTest, shown.Relay>,
  shownRelay: StandsFor<shown.Relay, OwnRelay>,
  ownRelay: StandsFor<OwnRelay, shown.Relay>,
  parts: StandsFor<OwnParts, shown.RelayParts>,
  memory: StandsFor<SharedMemory, shown.Memory>,
  ring: StandsFor<VringAreas, shown.Ring>,
  // What a module exports is what is called, though it sees less of its parts than there is.
  create: StandsFor<shown.CreateRelay, CreateRelay>,
  record: StandsFor<InflightRecord, shown.InflightRecord>,
  ownRecord: StandsFor<OwnRecord, shown.InflightRecord>,
  shownRecord: StandsFor<shown.InflightRecord, OwnRecord>,
  relayNames: StandsFor<keyof OwnRelay, keyof shown.Relay>,
  shownRelayNames: StandsFor<keyof shown.Relay, keyof OwnRelay>,
  faults: StandsFor<shown.FaultName, FaultReason>,
  partNames: StandsFor<keyof OwnParts, keyof shown.RelayParts>,
  shownNames: StandsFor<keyof shown.RelayParts, keyof OwnParts>,
];

/** Faults by what they cost, as the interface shows them. */
const SHOWN = {
  "break-queue": [
    "avail-idx-overrun",
    "used-idx-overrun",
    "head-out-of-range",
    "head-outstanding",
    "next-out-of-range",
    "chain-too-long",
    "readable-after-writable",
    "indirect-not-negotiated",
    "indirect-nested",
    "indirect-with-next",
    "indirect-length",
    "used-id-unknown",
  ] satisfies shown.BreakingFault[],
  quarantine: [
    "address-unmapped",
    "permission-denied",
    "chain-bytes-overflow",
    "chain-never-fits",
    "chain-empty",
  ] satisfies shown.ChainFault[],
} as const;

test("the interface shows each fault with what it costs, and all but those of a set-up and of stop()", () => {
  const agreed: keyof Agreed = "length";
  expect(agreed).toBe("length");
  const named = (outcome: string) => Object.entries(PEER_FAULTS).filter(([, costs]) => costs === outcome);
  expect([...SHOWN["break-queue"], "guest-ring-changed"].toSorted()).toEqual(
    named("break-queue")
      .map(([name]) => name)
      .toSorted(),
  );
  expect([...SHOWN.quarantine].toSorted()).toEqual(
    named("quarantine")
      .map(([name]) => name)
      .toSorted(),
  );
});

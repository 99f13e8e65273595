import { expect, it } from "vitest";
import { newRing, newSession } from "../../src/vhost-user/session.js";

const OFFER = { features: 1n, protocolFeatures: 2n, memSlots: 7 };

it("newSession() has said nothing, and has queues of their own", () => {
  const session = newSession({ ...OFFER, ringCount: 2 });
  expect(session.rings).toEqual([newRing(), newRing()]);
  expect(session.rings[0]).not.toBe(session.rings[1]);
  expect([session.owner, session.featuresAcked, session.protocolFeaturesAcked]).toEqual([false, undefined, undefined]);
  expect([session.featuresOffered, session.protocolFeaturesOffered, session.memSlots]).toEqual([1n, 2n, 7]);
});

it("newSession() has 1 to 256 queues, as many as eight bits name", () => {
  expect(newSession({ ...OFFER, ringCount: 256 }).rings).toHaveLength(256);
  for (const ringCount of [0, 257]) expect(() => newSession({ ...OFFER, ringCount })).toThrow("assertion");
});

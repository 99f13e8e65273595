/** A guest whose shared folder is behind the relay, with virtiofsd at the end. */
import { expect, test } from "vitest";
import { leaveEvidence } from "./helpers/evidence.js";
import { versionsOf } from "./helpers/peers.js";
import { peerScope } from "./helpers/scope.js";
import { copyInGuest, whyNoSharedFolder } from "./helpers/shared-folder.js";
import { relayEvidence, SvqRelay } from "./helpers/svq-relay.js";

test("a guest copies a file within a shared folder, through shadow queues", async (ctx) => {
  const why = whyNoSharedFolder();
  if (why !== undefined) return ctx.skip(why);
  const scope = peerScope();
  let relay: SvqRelay | undefined;
  const md5 = await copyInGuest(scope, async (socket) => {
    relay = await SvqRelay.start(scope, { connect: [socket] });
    return relay.socket;
  });
  const stats = await relay!.stats();
  expect(stats.requests).toBeGreaterThan(0);
  expect(stats.faults).toBe(0);
  leaveEvidence({ peers: versionsOf("qemu", "virtiofsd", "kernel"), relay: relayEvidence(stats), md5 });
});

/** A guest whose shared folder is behind the relay, with virtiofsd at the end. */
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { md5 } from "./helpers/disk-images.js";
import { leaveEvidence } from "./helpers/evidence.js";
import { GUEST, skipReason, versionsOf } from "./helpers/peers.js";
import { QemuGuest } from "./helpers/qemu-guest.js";
import { peerScope } from "./helpers/scope.js";
import { relayEvidence, SvqRelay } from "./helpers/svq-relay.js";
import { startVirtiofsDaemon } from "./helpers/virtiofs-daemon.js";

test("a guest copies a file within a shared folder, through shadow queues", async (ctx) => {
  const why = skipReason(...GUEST, "virtiofsd");
  if (why !== undefined) return ctx.skip(why);
  if (process.getuid?.() !== 0) return ctx.skip("virtiofsd needs root");
  const scope = peerScope();
  const folder = scope.path("share");
  mkdirSync(folder);
  const content = randomBytes(3_000_001);
  writeFileSync(join(folder, "in"), content);
  const { socket } = await startVirtiofsDaemon(scope, folder);
  const relay = await SvqRelay.start(scope, { connect: [socket] });
  const guest = await QemuGuest.start(scope, { test: "virtiofs", share: relay.socket });
  const expected = md5(content);
  expect(await guest.result()).toMatchObject({ ok: "1", in: expected, out: expected });
  const got = md5(readFileSync(join(folder, "out")));
  expect(got).toBe(expected);
  const stats = await relay.stats();
  expect(stats.requests).toBeGreaterThan(0);
  expect(stats.faults).toBe(0);
  leaveEvidence({
    peers: versionsOf("qemu", "virtiofsd", "kernel"),
    relay: relayEvidence(stats),
    md5: { expected, got },
  });
});

/** A guest on virtiofsd with nothing between. */
import { test } from "vitest";
import { leaveEvidence } from "./helpers/evidence.js";
import { versionsOf } from "./helpers/peers.js";
import { peerScope } from "./helpers/scope.js";
import { copyInGuest, whyNoSharedFolder } from "./helpers/shared-folder.js";

test("a guest copies a file within a shared folder", async (ctx) => {
  const why = whyNoSharedFolder();
  if (why !== undefined) return ctx.skip(why);
  const md5 = await copyInGuest(peerScope());
  leaveEvidence({ peers: versionsOf("qemu", "virtiofsd", "kernel"), md5 });
});

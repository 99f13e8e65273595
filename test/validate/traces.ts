import type { ShadowVirtqueue } from "../../src/relay/shadow-virtqueue.js";
import type { Program } from "../../src/validate/rig/program.js";
import type { MakeRelay } from "../../src/validate/rig/rig.js";
import { patchedCopy } from "../helpers/patched-copy.js";

/** A chain of 64 bytes read and 512 written, there and back; nobody breaks a rule. */
export const ONE_CHAIN: Program = {
  setup: { num: 4, shadowNum: 4, eventIdx: true, indirect: true, log: true, map: "flat", start: 0xffff },
  actions: [
    {
      op: "offer",
      elements: [
        { gpa: 0x3000, bytes: 64, writable: false },
        { gpa: 0x4000, bytes: 512, writable: true },
      ],
      form: "direct",
    },
    { op: "publish" },
    { op: "relay" },
    { op: "take" },
    { op: "use", nth: 0, bytes: 512 },
    { op: "publish-used" },
    { op: "relay" },
    { op: "reap" },
  ],
};

/** The shipping relay but for one passage. */
export async function faultyRelay(passage: string, instead: string): Promise<MakeRelay> {
  const file = "relay/shadow-virtqueue.ts";
  const { ShadowVirtqueue: Faulty } = await patchedCopy<{ ShadowVirtqueue: typeof ShadowVirtqueue }>(file, [
    file,
    passage,
    instead,
  ]);
  return (parts) => new Faulty(parts);
}

/** A passage that gives the device another length than the guest offered: O2. */
export const WRONG_LENGTH = ["shadowDesc.write32(to + 8, length);", "shadowDesc.write32(to + 8, length - 1);"] as const;
/** A store outside of what the relay may touch: O6. */
export const STRAY_STORE = ["guestUsed.write32(to, head);", "guestUsed.write32(guest.desc, head);"] as const;

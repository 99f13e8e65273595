/** Before the tests with real peers: how guests are run on this machine, found out once. */
import type { TestProject } from "vitest/node";
import { kvmOpens, probeBoot } from "../../src/lab/kvm-probe.js";
import { guestImage } from "./helpers/guest-image.js";
import { GUEST, needed, neededKernel, skipReason } from "./helpers/peers.js";

declare module "vitest" {
  interface ProvidedContext {
    /** guestImage is empty where guests cannot run. */
    peers: { readonly accel: "kvm" | "tcg"; readonly guestImage: string };
  }
}

/** Has vitest hand out what was found. */
export function setup({ provide }: TestProject): void {
  const why = skipReason(...GUEST);
  if (why !== undefined) {
    provide("peers", { accel: "tcg", guestImage: "" });
    return;
  }
  provide("peers", { accel: accelerator(), guestImage: guestImage() });
}

/** SVQ_PEERS_ACCEL, or KVM where a guest gets to userspace with it within ten seconds. */
function accelerator(): "kvm" | "tcg" {
  const asked = process.env["SVQ_PEERS_ACCEL"];
  if (asked === "kvm" || asked === "tcg") return asked;
  if (!kvmOpens()) return "tcg";
  return probeBoot("kvm", needed("qemu"), neededKernel()).reached ? "kvm" : "tcg";
}

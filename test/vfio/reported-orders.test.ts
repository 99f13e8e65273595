/** A device that leaves out what it takes for reported, and a host that harvests at any moment of that. */
import { describe, expect, it } from "vitest";
import type { SharedMemory } from "../../src/memory/shared-memory.js";
import { SimulatedMachine } from "../../src/memory/simulated/simulated-machine.js";
import { SimulatedMemory } from "../../src/memory/simulated/simulated-memory.js";
import { ReportDevice } from "../../src/vfio/reported-device.js";
import { ReportHost } from "../../src/vfio/reported-host.js";
import { ReportMemory, reportBytes } from "../../src/vfio/reported-memory.js";
import { type Patch, patchedCopy } from "../helpers/patched-copy.js";

const MODELS = ["sc", "tso", "pso"] as const;
const BUFFERS = 4;
const BYTES = reportBytes(BUFFERS);
const PAGE = 4096;
/** More accesses than a mark or a harvest has. */
const MOMENTS = 80;

interface Halves {
  readonly Device: typeof ReportDevice;
  readonly Host: typeof ReportHost;
}

const SHIPPED: Halves = { Device: ReportDevice, Host: ReportHost };

async function device(...patches: readonly Patch[]): Promise<Halves> {
  const module = await patchedCopy<{ ReportDevice: typeof ReportDevice }>("vfio/reported-device.ts", ...patches);
  return { ...SHIPPED, Device: module.ReportDevice };
}

async function host(...patches: readonly Patch[]): Promise<Halves> {
  const module = await patchedCopy<{ ReportHost: typeof ReportHost }>("vfio/reported-host.ts", ...patches);
  return { ...SHIPPED, Host: module.ReportHost };
}

/** Page 0 of a guest, its copy, a device that writes it and a host that copies it when it is reported. */
class Scene {
  readonly machine: SimulatedMachine;
  readonly page: SharedMemory;
  readonly device: ReportDevice;
  readonly host: ReportHost;
  readonly #seen: SharedMemory;
  copy = 0;
  #value = 0;

  constructor({ Device, Host }: Halves, model: (typeof MODELS)[number]) {
    // The host reads a page while the device may write it, on purpose: that is what marks are for.
    this.machine = new SimulatedMachine({ parties: ["device", "host"], model, owners: false });
    const shared = new SimulatedMemory(this.machine, BYTES, { fill: 0 });
    const guest = new SimulatedMemory(this.machine, PAGE, { fill: 0 });
    this.page = guest.port("device");
    this.#seen = guest.port("host");
    this.host = new Host(new ReportMemory(shared.port("host"), BUFFERS), 64);
    this.machine.drainAll();
    this.device = new Device(new ReportMemory(shared.port("device"), BUFFERS), { mode: "push" });
  }

  write(): void {
    this.page.write32(0, ++this.#value);
    this.device.markAfterWrite(0, 4);
  }

  harvest(): void {
    const found = this.host.harvest();
    if (!Array.isArray(found)) throw new Error(String(found));
    if (found.length > 0) this.copy = this.#seen.read32(0);
  }

  /** Runs `run`, and `other` once, before access number `moment` of `party`, or behind all of them. */
  interrupted(party: string, moment: number, run: () => void, other: () => void): void {
    let count = 0;
    let done = false;
    this.machine.onAccess = (access) => {
      if (access.party !== party || done || count++ !== moment) return undefined;
      done = true;
      other();
      return undefined;
    };
    run();
    this.machine.onAccess = undefined;
    if (!done) other();
  }

  /** Nobody writes any more: whether the copy is what the page holds. */
  ends(): "whole" | "lost" {
    this.machine.drainAll();
    this.device.flush();
    this.machine.drainAll();
    this.harvest();
    return this.copy === this.#value ? "whole" : "lost";
  }
}

/** What can come of a second write of a page that was just reported, around one harvest. */
function outcomes(halves: Halves, model: (typeof MODELS)[number], interrupted: "device" | "host"): string[] {
  const seen = new Set<string>();
  for (let moment = 0; moment <= MOMENTS; moment++) {
    for (const given of ["before", "during"] as const) {
      const scene = new Scene(halves, model);
      const write = () => {
        scene.write();
        if (given === "before") return;
        scene.device.flush();
        if (interrupted === "device") scene.write();
      };
      if (given === "before") {
        scene.write();
        scene.device.flush();
        scene.machine.drainAll();
      }
      const harvest = () => scene.harvest();
      if (interrupted === "device") scene.interrupted("device", moment, write, harvest);
      else scene.interrupted("host", moment, harvest, write);
      if (interrupted === "host") scene.write();
      seen.add(scene.ends());
    }
  }
  return [...seen].sort();
}

const NO_FENCE: Patch = ["vfio/reported-device.ts", "this.#report.fenceByWrite();\n", ""];

describe.each(MODELS)("%s", (model) => {
  it.each(["device", "host"] as const)("nothing is lost, whoever is interrupted where: the %s", (party) => {
    expect(outcomes(SHIPPED, model, party)).toEqual(["whole"]);
  });

  it("M1: a device that looks whether it has reported before its write is sure to show loses pages, with store buffers", async () => {
    expect(outcomes(await device(NO_FENCE), model, "device")).toEqual(model === "sc" ? ["whole"] : ["lost", "whole"]);
  });

  it("a host that begins the generation before it looks what is used loses pages", async () => {
    const early = await host([
      "vfio/reported-host.ts",
      "const isEmpty = ring.arm();\n    if (!isEmpty) this.#nextGeneration();",
      "this.#nextGeneration();\n    ring.arm();",
    ]);
    expect(outcomes(early, model, "host")).toContain("lost");
  });

  it("a device that never forgets what it reported loses pages", async () => {
    const never = await device([
      "vfio/reported-device.ts",
      "this.#generation = generation;\n    this.#cache.fill(NOBODY);",
      "",
    ]);
    expect(outcomes(never, model, "host")).toContain("lost");
  });
});

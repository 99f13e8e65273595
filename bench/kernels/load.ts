import type { MakeKernel } from "./kernel.js";

/** Each kernel in a module of its own, so that a timed process loads nothing that it does not measure. */
const KERNELS: Readonly<Record<string, () => Promise<MakeKernel>>> = {
  relay: async () => {
    const { RelayKernel } = await import("./relay.js");
    return (input) => new RelayKernel(input);
  },
  bitmap: async () => {
    const { BitmapKernel } = await import("./bitmap.js");
    return (input) => new BitmapKernel(input);
  },
  iova: async () => {
    const { IovaKernel } = await import("./iova.js");
    return (input) => new IovaKernel(input);
  },
  ring: async () => {
    const { RingKernel } = await import("./ring.js");
    return (input) => new RingKernel(input);
  },
  tracker: async () => {
    const { TrackerKernel } = await import("./tracker.js");
    return (input) => new TrackerKernel(input);
  },
  machine: async () => {
    const { MachineKernel } = await import("./machine.js");
    return (input) => new MachineKernel(input);
  },
};

/** Loads a kernel by name; throws Error for an unknown one. */
export async function loadKernel(name: string): Promise<MakeKernel> {
  const load = KERNELS[name];
  if (load === undefined) throw new Error(`no kernel ${name}: there are ${Object.keys(KERNELS).join(", ")}`);
  return load();
}

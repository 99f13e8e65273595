import type { Workload } from "../../driver/workload.js";
import * as shipping from "../../machine/assemble.js";
import { chainLength, checkedConfig, DEFAULT_CONFIG, type MachineConfig } from "../../machine/config.js";
import type { IovaPolicy } from "../../relay/address-plan.js";
import type { DataPathName } from "../../relay/data-path.js";
import { type RoleMakers, WholeMachine } from "../faults/whole-machine.js";
import { Random } from "./random.js";

/** Every data path with every address plan that it may have; the first is what the others are compared with. */
const PATHS: readonly { readonly path: DataPathName; readonly iovaPolicy: IovaPolicy }[] = [
  { path: "passthrough", iovaPolicy: "gpa" },
  { path: "notify", iovaPolicy: "gpa" },
  { path: "svq", iovaPolicy: "tree" },
  { path: "svq", iovaPolicy: "gpa" },
  { path: "svq", iovaPolicy: "fixed" },
  { path: "svq", iovaPolicy: "identity-all" },
  { path: "used-only", iovaPolicy: "fixed" },
];

/** A machine and what it is to do, but for the path. */
export interface PathProgram {
  readonly config: MachineConfig;
  readonly inputBytes: number;
  readonly passes: number;
}

/** All that the guest of a machine can see of its passes. */
interface Seen {
  readonly text: string;
  readonly received: readonly Buffer[];
}

/** Less than a product may have, so that a machine takes milliseconds. */
const RAM_BYTES = 2 ** 20;
const RAM_BYTES_MIN = 2 ** 24;

/** Makes the machine of a seed and an index; whose turn it is follows from the config's seed, and differs by path. */
export function pathProgram(seed: number, index: number): PathProgram {
  const random = new Random(seed ^ 0x9a75, index);
  const queueSize = random.pick([2, 4, 8, 16, 32, 64]);
  const device = random.pick(["net", "net", "null"] as const);
  const depth = 1 + random.below(Math.min(queueSize, 12));
  const segments = 1 + random.below(Math.min(device === "net" ? queueSize / 2 : queueSize, 6));
  const requestBytes = random.pick([64, 600, 1500, 5000]);
  // A buffer falls into two pieces at most; what never fits the shadow ring comes back unused (LEGAL_DIFFERENCES).
  const fits = 2 * chainLength({ device, segments }) <= queueSize;
  const config: MachineConfig = {
    ...DEFAULT_CONFIG,
    placement: "inline",
    ramBytes: RAM_BYTES,
    hole: random.once(2),
    mappings: fits ? random.pick([1, 3, 24]) : 1,
    queues: random.pick([1, 1, 2, 3]),
    queueSize,
    eventIdx: random.once(2),
    indirect: random.once(2),
    device,
    order: random.pick(["in-order", "out-of-order"]),
    delaySteps: random.pick([0, 0, 1, 7]),
    deviceBatch: 1 + random.below(6),
    depth,
    batch: 1 + random.below(depth),
    requestBytes,
    segments,
    nullRequests: 1 + random.below(40),
    dirtyLog: random.once(2),
    markPolicy: random.pick(["all-writable", "used-len"]),
    seed: 1 + random.below(2 ** 27),
  };
  checkedConfig({ ...config, ramBytes: RAM_BYTES_MIN });
  return {
    config,
    inputBytes: requestBytes * random.below(12) + 1 + random.below(requestBytes),
    passes: 1 + random.below(2),
  };
}

/** What a guest sees on one path and not on another; undefined when all paths look alike to it. */
export function pathDifference(program: PathProgram, make: Partial<RoleMakers> = {}): string | undefined {
  let first: Seen | undefined;
  for (const { path, iovaPolicy } of PATHS) {
    const seen = watch({ ...program, config: { ...program.config, path, iovaPolicy } }, make);
    first ??= seen;
    const same = seen.text === first.text && seen.received.every((bytes, pass) => bytes.equals(first!.received[pass]!));
    if (same) continue;
    const what = seen.text === first.text ? "other bytes came back" : `${seen.text}, on passthrough ${first.text}`;
    return `${path} (${iovaPolicy}): ${what}`;
  }
  return undefined;
}

/** Runs one machine. What came back has to be what was sent besides, on whichever path. */
function watch({ config, inputBytes, passes }: PathProgram, make: Partial<RoleMakers>): Seen {
  const completions: string[] = [];
  const machine = new WholeMachine(config, { inputBytes, make: { ...make, makeDriver: watchedBy(completions, make) } });
  const received: Buffer[] = [];
  const told: string[] = [];
  for (let pass = 0; pass < passes; pass++) {
    told.push(outcomeOf(() => machine.pass(pass)));
    received.push(Buffer.from(machine.received()));
  }
  const faults = machine.relay.faults.map(({ reason }) => reason);
  const usedIdx = machine.layouts.map((_, queue) => Buffer.from(machine.usedRing(queue)).readUInt16LE(0));
  // With several queues it is up to the turns which of them gets a request.
  const indices = config.queues === 1 ? usedIdx : [usedIdx.reduce((sum, idx) => sum + idx, 0)];
  const echo = config.device === "null" || received.every((bytes) => bytes.equals(machine.sent));
  const text = JSON.stringify({ told, echo, faults, indices, completions: completions.sort() });
  return { text, received };
}

function outcomeOf(pass: () => object): string {
  try {
    return JSON.stringify(pass());
  } catch (error) {
    return String(error);
  }
}

/** A driver that notes what each of its requests came back with. */
function watchedBy(completions: string[], make: Partial<RoleMakers>): RoleMakers["makeDriver"] {
  return (config, views, outside) =>
    (make.makeDriver ?? shipping.makeDriver)(config, views, {
      ...outside,
      workload: (slots, guest) => noting(outside.workload(slots, guest), completions),
    });
}

function noting(workload: Workload, completions: string[]): Workload {
  const finish = workload.finish.bind(workload);
  workload.finish = (number, slot, usedLength) => {
    completions.push(`${number}:${usedLength}`);
    return finish(number, slot, usedLength);
  };
  return workload;
}

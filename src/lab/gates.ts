import { setImmediate } from "node:timers/promises";
import { bitCount, DirtyLog } from "../dirty/dirty-log.js";
import { guestRegions } from "../machine/arena.js";
import type { MachineConfig } from "../machine/config.js";
import type { FaultPlan } from "../machine/faults.js";
import { PAGE_BYTES } from "../memory/address.js";
import { RealMemory } from "../memory/real-memory.js";
import type { FlightRecorder } from "../report/flight-recorder.js";
import type { Accounting } from "../ring/driver-ring.js";
import type { Input } from "./files.js";
import { Stuck, ThreadedMachine } from "./threaded-machine.js";

/** What the gates measured on one path; a gate holds when its number is what it has to be. */
export interface Gates {
  /** What came back is what was sent, byte for byte. */
  payload: boolean;
  /** Requests that never came back, and completions of requests that were not out. */
  lost: number;
  duplicated: number;
  /** Waits that ended by timeout, found work, and were not rung for within 100 ms. */
  lost_notifications: number;
  /** Pages that the device or the relay changed, over all rounds. */
  changed_pages: number;
  /** Of those, pages not in the dirty log of their round; null for a path that marks nothing. */
  missed_dirty_pages: number | null;
  /** Pages marked and not changed / pages marked; null for a path that marks nothing. */
  over_report_ratio: number | null;
  /** Descriptors free and in flight sum up to the ring size, in every ring, at every round. */
  descriptors_balanced: boolean;
}

/** The outcome of a gate phase. */
export interface GateOutcome {
  readonly gates: Gates;
  readonly requests: number;
  /** Of what came back; null when the pass did not end. */
  readonly sha256: string | null;
  readonly refusals: readonly string[];
  /** What failed, in words; empty when every gate holds. */
  readonly failures: readonly string[];
}

/** What a gate phase is run with. */
export interface GateOptions {
  readonly input: Input;
  readonly image: { readonly path: string; readonly bytes: number } | undefined;
  readonly fault: FaultPlan | undefined;
  readonly recorder: FlightRecorder;
}

/** Whether a path marks what it and the device write: the others cannot migrate. */
export function marksPages(config: MachineConfig): boolean {
  return config.dirtyLog && (config.path === "svq" || config.path === "used-only");
}

/** Says in words which gates do not hold. */
export function gateFailures(gates: Gates): string[] {
  const failures = [];
  if (!gates.payload) failures.push("payload: what came back differs from what was sent");
  if (gates.lost > 0) failures.push(`lost: ${gates.lost} requests never came back`);
  if (gates.duplicated > 0) failures.push(`duplicated: ${gates.duplicated} completions of requests that were not out`);
  if (gates.lost_notifications > 0)
    failures.push(`lost_notifications: ${gates.lost_notifications} waits ended by timeout with work to do`);
  if ((gates.missed_dirty_pages ?? 0) > 0)
    failures.push(`missed_dirty_pages: ${gates.missed_dirty_pages} changed pages are not in the dirty log`);
  if (!gates.descriptors_balanced) failures.push("descriptors: free and in flight do not sum up to the ring size");
  return failures;
}

/**
 * Runs one pass in rounds of a queue's depth and checks every gate at the end of each round, with all threads at rest.
 *
 * Which pages changed is found by comparing guest RAM with a copy that only the driver's stores reach; pages the device
 * says it wrote count as changed too. The log is also taken while a round runs, as a migration would.
 */
export async function runGates(config: MachineConfig, options: GateOptions): Promise<GateOutcome> {
  const oracle = new PageOracle(config);
  const machine = new ThreadedMachine(config, {
    input: options.input,
    image: options.image,
    mirror: oracle.mirror,
    stamps: oracle.stamps,
    fault: options.fault,
    recorder: options.recorder,
    // A poller needs no call, so a lost one would hurt nobody.
    waiting: options.fault?.kind === "lose-call" ? "notified" : undefined,
  });
  const tally = { requests: 0, lost: 0, duplicated: 0, balanced: true, payload: false, sha256: null as string | null };
  try {
    oracle.watch(machine);
    await machine.start();
    oracle.endRound();
    await runRounds(config, machine, oracle, tally);
  } catch (error) {
    if (!(error instanceof Stuck)) throw error;
    tally.lost += config.depth;
    options.recorder.record({
      at_ns: performance.now() * 1e6,
      source: "gates",
      event: "stuck",
      detail: { message: error.message },
    });
  } finally {
    await machine.stop();
  }
  const { requests, sha256 } = tally;
  const gates: Gates = {
    payload: tally.payload,
    lost: tally.lost,
    duplicated: tally.duplicated,
    lost_notifications: machine.lost.length,
    ...oracle.result(marksPages(config)),
    descriptors_balanced: tally.balanced,
  };
  return { gates, requests, sha256, refusals: machine.refusals, failures: gateFailures(gates) };
}

async function runRounds(
  config: MachineConfig,
  machine: ThreadedMachine,
  oracle: PageOracle,
  tally: {
    requests: number;
    lost: number;
    duplicated: number;
    balanced: boolean;
    payload: boolean;
    sha256: string | null;
  },
): Promise<void> {
  const round = config.depth * config.queues;
  for (let first = 0; ; first += round) {
    const [{ result, received }] = await Promise.all([
      machine.ask("driver", { kind: "job", job: { pass: 0, first, count: round } }, "job"),
      oracle.takeTwice(),
    ]);
    const accounting = await machine.sync();
    oracle.endRound();
    tally.requests += result.requests;
    tally.lost += result.lost;
    tally.duplicated += result.duplicated;
    tally.balanced &&= accounting.every(balanced);
    if (received === undefined && result.fault === undefined) continue;
    tally.payload = (received?.equal ?? false) && result.refused === 0;
    tally.sha256 = received?.sha256 ?? null;
    return;
  }
}

/** Whether every descriptor of a ring is either free or in flight. */
export function balanced({ size, free, inFlight }: Accounting): boolean {
  return free + inFlight === size;
}

/** Knows which pages of guest RAM others than the driver have changed, and which the log says they have. */
export class PageOracle {
  /** Guest RAM as the driver alone would have left it. */
  readonly mirror: readonly SharedArrayBuffer[];
  /** Per region and page: how often the device has written it. */
  readonly stamps: readonly SharedArrayBuffer[];
  readonly #regions: readonly { readonly gpa: number; readonly bytes: number }[];
  #ram: readonly Uint8Array[] = [];
  #log: DirtyLog | undefined;
  #marked = new Uint32Array(0);
  #changedPages = 0;
  #missedPages = 0;
  #markedPages = 0;
  #markedChangedPages = 0;

  constructor(config: MachineConfig) {
    this.#regions = guestRegions(config.ramBytes, config.hole);
    this.mirror = this.#regions.map(({ bytes }) => new SharedArrayBuffer(bytes));
    this.stamps = this.#regions.map(({ bytes }) => new SharedArrayBuffer((bytes / PAGE_BYTES) * 4));
  }

  /** Looks at the memory of a machine. */
  watch({ arena }: ThreadedMachine): void {
    this.#ram = arena.regions.map(({ buffer }) => new Uint8Array(buffer));
    const last = this.#regions.at(-1)!;
    this.#log = new DirtyLog(new RealMemory(arena.log), 0, last.gpa + last.bytes);
    this.#marked = new Uint32Array(arena.log.byteLength / 4);
  }

  /** Takes the log, as a migration does while the machine runs. */
  take(): void {
    this.#log?.take(this.#marked);
  }

  /** Takes the log now and a little later, while a round runs. */
  async takeTwice(): Promise<void> {
    this.take();
    await setImmediate();
    this.take();
  }

  /** Judges what happened since the last round; all threads rest. */
  endRound(): void {
    this.take();
    for (const [i, region] of this.#regions.entries()) this.#judgeRegion(i, region.gpa / PAGE_BYTES);
    for (const word of this.#marked) this.#markedPages += bitCount(word);
    this.#marked.fill(0);
  }

  /** The gates that follow from it; `marks`: whether the path marks at all. */
  result(marks: boolean): Pick<Gates, "changed_pages" | "missed_dirty_pages" | "over_report_ratio"> {
    const over = this.#markedPages === 0 ? 0 : 1 - this.#markedChangedPages / this.#markedPages;
    return {
      changed_pages: this.#changedPages,
      missed_dirty_pages: marks ? this.#missedPages : null,
      over_report_ratio: marks ? over : null,
    };
  }

  #judgeRegion(index: number, firstPage: number): void {
    const ram = this.#ram[index]!;
    const mirror = new Uint8Array(this.mirror[index]!);
    const stamps = new Int32Array(this.stamps[index]!);
    for (let page = 0; page < stamps.length; page++) {
      const from = page * PAGE_BYTES;
      const differs =
        Buffer.compare(ram.subarray(from, from + PAGE_BYTES), mirror.subarray(from, from + PAGE_BYTES)) !== 0;
      if (!differs && stamps[page] === 0) continue;
      if (differs) mirror.set(ram.subarray(from, from + PAGE_BYTES), from);
      stamps[page] = 0;
      this.#judgePage(firstPage + page);
    }
  }

  #judgePage(page: number): void {
    this.#changedPages += 1;
    const marked = (this.#marked[page >>> 5]! & (1 << (page & 31))) !== 0;
    if (marked) this.#markedChangedPages += 1;
    else this.#missedPages += 1;
  }
}

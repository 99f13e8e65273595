/** One side of a litmus: plays as many rounds as are posted, and says what they came to. */
import { parentPort, workerData } from "node:worker_threads";
import { RealMemory } from "../../src/memory/real-memory.js";
import { osThreadId } from "../../src/telemetry/os-thread.js";
import { FORMS } from "./forms.js";
import { Harvester, Marker, type SideName } from "./rounds.js";

/** What a side is started with. */
export interface LitmusStart {
  readonly side: SideName;
  readonly form: string;
  readonly buffer: SharedArrayBuffer;
}

/** What a side answers: its thread's id first (0: unknown), then for each number of rounds what they came to. */
export interface LitmusReport {
  readonly value: number;
}

const { side, form, buffer } = workerData as LitmusStart;
const memory = new RealMemory(buffer);
const player = side === "marker" ? new Marker(memory, FORMS.find(({ name }) => name === form)!) : new Harvester(memory);
parentPort!.on("message", (rounds: number) => report(player.play(rounds)));
report(osThreadId() ?? 0);

function report(value: number): void {
  parentPort!.postMessage({ value } satisfies LitmusReport);
}

import type { Heartbeat } from "../../memory/heartbeat.js";
import type { ShadowVirtqueueParts } from "../../relay/shadow-parts.js";
import { FUZZ_MODES, generate } from "../fuzz/generator.js";
import type { MakeRelay, RelayUnderTest } from "../rig/relay-under-test.js";
import { recordRun, traceHash } from "../trace/record.js";
import { AdaptedRelay, adapt } from "./adapt.js";
import type { CreateRelay } from "./interface.js";
import type { Broken } from "./judge.js";
import { Pulse } from "./pulse-memory.js";

const PROGRAMS = 400;

/** Runs programs twice, once with a new relay for each turn: undefined unless what save() leaves out matters. */
export function forgets(createRelay: CreateRelay, seed: number, heart?: Heartbeat): Broken | undefined {
  const anew: MakeRelay = (parts) => new Reborn(createRelay, parts, heart);
  for (let index = 0; index < PROGRAMS; index++) {
    const program = generate(FUZZ_MODES[index % FUZZ_MODES.length]!, seed, index);
    const [one, many] = [recordRun(program, adapt(createRelay, heart)), recordRun(program, anew)];
    if (traceHash(one) === traceHash(many)) continue;
    const what = `O9: made anew from what save() gave, it does something else (program ${index})`;
    return { id: "O9", invariant: 0, where: "save()", what, seed };
  }
  return undefined;
}

/** A relay that lives for one turn, and leaves to the next what it saved. */
class Reborn implements RelayUnderTest {
  readonly #next: () => AdaptedRelay;
  #relay: AdaptedRelay;

  constructor(createRelay: CreateRelay, parts: ShadowVirtqueueParts, heart?: Heartbeat) {
    this.#relay = new AdaptedRelay(createRelay, parts, new Pulse(heart));
    this.#next = () =>
      new AdaptedRelay(createRelay, parts, new Pulse(heart), { saved: structuredClone(this.#relay.save()) });
  }

  step(): boolean {
    this.#relay = this.#next();
    return this.#relay.step();
  }

  arm(): boolean {
    this.#relay = this.#next();
    return this.#relay.arm();
  }

  abandon(): void {
    this.#relay.abandon();
  }

  accounting() {
    return this.#relay.accounting();
  }
}

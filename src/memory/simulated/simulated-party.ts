import { ACCESS_KINDS, type AccessKind } from "./access.js";
import { FenceRule } from "./fence-rule.js";
import type { Clock } from "./party-clocks.js";
import type { SimulatedMachine } from "./simulated-machine.js";
import type { SimulatedMemory } from "./simulated-memory.js";
import { type PendingStore, StoreBuffer } from "./store-buffer.js";

/** One party of a machine: what it has stored and nobody sees yet, and how it behaves around fences. */
export class SimulatedParty {
  readonly name: string;
  readonly index: number;
  readonly buffer: StoreBuffer;
  readonly #machine: SimulatedMachine;
  readonly #fences: FenceRule | undefined;
  readonly #counts: Record<AccessKind, number>;

  constructor(machine: SimulatedMachine, name: string, index: number) {
    this.#machine = machine;
    this.name = name;
    this.index = index;
    this.buffer = new StoreBuffer(machine.model);
    this.#fences = machine.strictFences ? new FenceRule(name) : undefined;
    this.#counts = Object.fromEntries(ACCESS_KINDS.map((kind) => [kind, 0])) as Record<AccessKind, number>;
  }

  /** How often it has made each kind of access. */
  get counts(): Readonly<Record<AccessKind, number>> {
    return this.#counts;
  }

  /**
   * Begins an access: lets stores drain and the hook act; returns what is to replace the answer.
   *
   * Nothing of the access has happened yet and nothing is remembered across the hook, so other parties may run in it.
   */
  begin(
    kind: AccessKind,
    memory: SimulatedMemory | undefined,
    place: string,
    offset: number,
    bytes: number,
    value: number | Uint8Array | undefined,
  ): number | Uint8Array | undefined {
    const machine = this.#machine;
    machine.drainPolicy?.(machine);
    const reply = machine.onAccess?.({ party: this.name, kind, memory, place, offset, bytes, value });
    this.#fences?.note(kind);
    this.#counts[kind] += 1;
    return reply?.replace;
  }

  /** Stores: into the buffer where the model has one. */
  store(store: PendingStore): void {
    this.buffer.push(store);
    if (this.#machine.model === "sc") this.drainAll();
  }

  /** Makes the pending store at `position` visible. */
  drain(position: number): void {
    const store = this.buffer.remove(position);
    store.memory.makeVisible(this, store);
  }

  /** Makes all it has stored visible, in program order: what a full fence does. */
  drainAll(): void {
    while (this.buffer.stores.length > 0) this.drain(0);
  }

  /** What it knows, to be handed to somebody; undefined where nobody checks owners. */
  release(): Clock | undefined {
    return this.#machine.clocks?.release(this.index);
  }
}

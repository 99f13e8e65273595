import type { SharedMemory } from "./shared-memory.js";

/** What wakes a thread: each has one, for all its queues and its control messages. */
export interface Bell {
  /** Wakes the owner, or keeps it from falling asleep (a full fence). */
  ring(): void;
}

/** Bytes of one doorbell: a cache line of its own, so that ringing one disturbs no other. */
export const BELL_BYTES = 64;

/**
 * The word on which one thread sleeps (`Atomics.wait` takes one address).
 *
 * To sleep without missing a ring: observe() first, then look for work and arm, then sleep on what was observed.
 */
export class Doorbell implements Bell {
  readonly #words: Int32Array;
  readonly #index: number;

  /** Takes bell number `index` of a buffer of doorbells. */
  constructor(buffer: SharedArrayBuffer, index: number) {
    this.#words = new Int32Array(buffer);
    this.#index = index * (BELL_BYTES / 4);
    if (this.#index >= this.#words.length) throw new RangeError(`no doorbell ${index} in ${buffer.byteLength} bytes`);
  }

  ring(): void {
    Atomics.add(this.#words, this.#index, 1);
    Atomics.notify(this.#words, this.#index);
  }

  /** How often it has rung so far (wraps). */
  observe(): number {
    return Atomics.load(this.#words, this.#index);
  }

  /** Sleeps until it has rung since `seen` was observed; false when `timeoutMs` passed first. Blocks the thread. */
  sleep(seen: number, timeoutMs: number): boolean {
    return Atomics.wait(this.#words, this.#index, seen, timeoutMs) !== "timed-out";
  }
}

/** Bytes of one EventFd in shared memory: the pending word, then the number of the waiter's bell. */
export const EVENT_FD_BYTES = 64;
/** The waiter of an EventFd that nobody polls: signals are kept until someone attaches. */
export const NO_WAITER = 0xffff;

const WAITER_OFFSET = 4;

/** A notification as its users see it. */
export interface Notifier {
  /** Leaves a notification and wakes whoever polls it (a full fence). */
  signal(): void;
  /** Takes the notification; true when there was one. */
  take(): boolean;
  /** Makes bell number `waiter` the one to ring, and signals once: what came before the change is not lost. */
  attach(waiter: number): void;
  /** Leaves it without a waiter; what is signalled from now on stays pending. */
  detach(): void;
}

/**
 * A notification that stays pending until it is taken, as kick, call and err are eventfds to vhost.
 *
 * Who polls it can change while it is in use: that is how a queue moves between passthrough and the relay.
 */
export class EventFd implements Notifier {
  readonly #memory: SharedMemory;
  readonly #offset: number;
  readonly #bells: readonly Bell[];

  constructor(memory: SharedMemory, offset: number, bells: readonly Bell[]) {
    this.#memory = memory;
    this.#offset = offset;
    this.#bells = bells;
  }

  signal(): void {
    this.#memory.setBits32(this.#offset, 1);
    const waiter = this.#memory.observe16(this.#offset + WAITER_OFFSET);
    if (waiter !== NO_WAITER) this.#bells[waiter]?.ring();
  }

  take(): boolean {
    return this.#memory.takeBits32(this.#offset) !== 0;
  }

  attach(waiter: number): void {
    this.#memory.publish16(this.#offset + WAITER_OFFSET, waiter);
    this.signal();
  }

  detach(): void {
    this.#memory.publish16(this.#offset + WAITER_OFFSET, NO_WAITER);
  }
}

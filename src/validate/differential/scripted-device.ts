import type { DeviceHalf, Held } from "./device-halves.js";
import type { GuestProgram } from "./guest-program.js";

/**
 * The device of a program, on whichever ring half: what it writes and reports follows from the bytes it reads and from
 * the room it has, never from heads, addresses or turns.
 */
export class ScriptedDevice {
  asleep = false;
  readonly #half: DeviceHalf;
  readonly #program: GuestProgram;

  constructor(half: DeviceHalf, program: GuestProgram) {
    this.#half = half;
    this.#program = program;
  }

  /** Takes what there is and returns those that `picks` names, or all; sleeps when it has nothing to do. */
  turn(picks: readonly number[] | undefined): { moved: boolean; calls: boolean } {
    const half = this.#half;
    if (half.broken !== undefined || this.asleep) return { moved: false, calls: false };
    let moved = half.take();
    if (half.broken !== undefined) return { moved, calls: false };
    for (const pick of picks ?? half.held.map(() => 0)) {
      const [chain] = half.held.splice(pick % Math.max(1, half.held.length), 1);
      if (chain === undefined) break;
      half.addUsed(chain.head, this.#serve(chain));
      moved = true;
    }
    const calls = half.publish();
    if (!moved && half.held.length === 0) this.asleep = half.arm();
    return { moved: moved || (half.held.length === 0 && !this.asleep), calls };
  }

  /** Reads all, writes some; returns the length it reports. */
  #serve({ readable, writable }: Held): number {
    const { answers, lies } = this.#program;
    let mix = answers;
    for (const bytes of readable) {
      for (let i = 0; i < bytes.length; i++) mix = Math.imul(mix ^ bytes[i]!, 0x0100_0193);
    }
    const room = writable.reduce((sum, bytes) => sum + bytes.length, 0);
    mix = Math.imul(mix ^ room, 0x0100_0193) ^ (mix >>> 13);
    const written = (mix & 7) === 0 ? 0 : (mix & 7) < 4 ? ((mix >>> 4) & 0xff_ffff) % (room + 1) : room;
    let left = written;
    for (const bytes of writable) {
      const length = Math.min(left, bytes.length);
      for (let i = 0; i < length; i++) bytes[i] = mix + left - i;
      left -= length;
    }
    if (!lies || (mix & 0x300) !== 0) return written;
    return [room + 1, 0x8000_0000, 0xffff_ffff, Math.floor(written / 2)][(mix >>> 10) & 3]!;
  }
}

/** Pages in frames: what is sent arrives, and what was damaged on its way does not. */
import { describe, expect, it } from "vitest";
import { DenseRam, type GuestRam, ramBlocks, ramLike, SparseRam } from "../../src/memory/guest-ram.js";
import { FRAME_HEADER_BYTES, PageReceiver, PageSender, sealFrame } from "../../src/migration/sender.js";
import { UniformMigration } from "../helpers/uniform-migration.js";

const MIB = 2 ** 20;

function frameOf(ram: GuestRam, page: number): Uint8Array {
  let sent = new Uint8Array(0);
  new PageSender(ram, (frame) => {
    sent = frame.slice();
  }).send(page);
  return sent;
}

describe.each([
  ["dense", () => DenseRam.allocate(ramBlocks(4 * MIB)), 4096],
  ["sparse", () => new SparseRam(ramBlocks(4 * MIB)), 4],
] as const)("a page of %s RAM", (_, make, payloadBytes) => {
  it("arrives as it was sent, on either side of the hole", () => {
    const ram = make();
    const copy = ramLike(ram);
    for (const page of [0, 767, 1024, 1279]) {
      ram.write(page * 4096 + 8, Uint8Array.of(page & 255, 2, 3));
      const frame = frameOf(ram, page);
      expect(frame).toHaveLength(FRAME_HEADER_BYTES + payloadBytes);
      expect(ram.pageDiffers(page, copy)).toBe(true);
      expect(new PageReceiver(copy).receive(frame)).toBeUndefined();
      expect(ram.pageDiffers(page, copy)).toBe(false);
    }
  });

  it("is refused when any one byte of its frame is another, and RAM stays as it was", () => {
    const ram = make();
    ram.write(5 * 4096, Uint8Array.of(1, 2, 3));
    const copy = ramLike(ram);
    const receiver = new PageReceiver(copy);
    const frame = frameOf(ram, 5);
    for (let at = 0; at < frame.length; at++) {
      // Bytes 12 to 15 mean nothing.
      if (at >= 12 && at < 16) continue;
      for (const flip of [1, 0x80, 0xff]) {
        const damaged = frame.slice();
        damaged[at]! ^= flip;
        expect(receiver.receive(damaged), `byte ${at}`).toBe("checksum");
      }
    }
    expect(ram.pageDiffers(5, copy)).toBe(true);
  });

  it("is refused when its frame is shorter, longer, or of a page that is not there", () => {
    const ram = make();
    const receiver = new PageReceiver(ramLike(ram));
    const frame = frameOf(ram, 5);
    expect(receiver.receive(frame.subarray(0, frame.length - 4))).toBe("too short");
    expect(receiver.receive(Uint8Array.of(...frame, 0, 0, 0, 0))).toBe("too short");
    for (const [low, high] of [
      [768, 0],
      [1280, 0],
      [5, 1],
      [0xffffffff, 0xffffffff],
    ] as const) {
      const elsewhere = frame.slice();
      new Uint32Array(elsewhere.buffer, 0, 2).set([low, high]);
      expect(receiver.receive(elsewhere)).toBe("checksum");
      sealFrame(elsewhere);
      expect(receiver.receive(elsewhere), `page ${high}:${low}`).toBe("no such page");
    }
  });
});

describe("two words of a page", () => {
  it("cannot change places unseen, next to each other or further apart", () => {
    const ram = DenseRam.allocate(ramBlocks(4 * MIB));
    ram.write(0, new Uint8Array(Uint32Array.from({ length: 1024 }, (_, i) => Math.imul(i + 1, 0x9e3779b1)).buffer));
    const receiver = new PageReceiver(ramLike(ram));
    const frame = frameOf(ram, 0);
    const first = FRAME_HEADER_BYTES / 4;
    for (let other = 1; other < 1024; other++) {
      const swapped = frame.slice();
      const words = new Uint32Array(swapped.buffer);
      [words[first], words[first + other]] = [words[first + other]!, words[first]!];
      expect(receiver.receive(swapped), `words 0 and ${other}`).toBe("checksum");
    }
  });
});

describe("a channel that damages a page", () => {
  const flip = (frame: Uint8Array) => {
    frame[FRAME_HEADER_BYTES + 100]! ^= 4;
  };

  it("ends the migration, and the guest goes on where it is", async () => {
    const rig = new UniformMigration();
    const outcome = await rig.migrate({ faults: { frame: (frame, sent) => void (sent === 700 && flip(frame)) } });
    expect(outcome).toMatchObject({ status: "failed", failure: "a page arrived damaged: checksum" });
    expect(outcome.totalBytes).toBe(700 * 4096);
    expect(rig.guest.ram).toBe(rig.ram);
    rig.guest.run(1e8, { share: 0 });
    expect(rig.guest.verify()).toBe(true);
  });

  it("and makes the checksum fit is found only by comparing all of memory: the twin", async () => {
    const rig = new UniformMigration();
    // A page that nobody writes, so that it is sent once.
    const frame = (bytes: Uint8Array, sent: number) => {
      if (sent !== 1) return;
      flip(bytes);
      sealFrame(bytes);
    };
    const outcome = await rig.migrate({ faults: { frame } });
    expect(outcome).toMatchObject({ status: "completed", verdict: { differing: 1 } });
  });
});

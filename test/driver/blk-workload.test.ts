import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BlkDevice } from "../../src/device/blk-device.js";
import { BlkWorkload } from "../../src/driver/blk-workload.js";
import type { MachineConfig } from "../../src/machine/config.js";
import { testMachine } from "../helpers/inline-machine.js";

const INPUT_BYTES = 30_000;
let folder = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "blk-"));
  writeFileSync(join(folder, "image"), "");
});

afterAll(() => rmSync(folder, { recursive: true }));

/** A machine with a disk, and the disk. */
function withDisk(change: Partial<MachineConfig>, image = join(folder, "image"), bytes?: number) {
  const config = { device: "blk", requestBytes: 1024, queueSize: 16, ...change } as const;
  const model = new BlkDevice(image, bytes ?? BlkWorkload.diskBytes(INPUT_BYTES, config.requestBytes));
  return { machine: testMachine(config, { inputBytes: INPUT_BYTES, judged: true, device: { model } }), model };
}

describe("a disk behind the relay", () => {
  for (const path of ["svq", "passthrough", "notify", "used-only"] as const) {
    test(`gives back in three passes what was written to it, in pieces and out of order, on ${path} (D24)`, () => {
      for (const segments of [1, 3]) {
        for (const [eventIdx, indirect] of [
          [true, false],
          [false, true],
        ] as const) {
          const iovaPolicy = path === "used-only" ? "fixed" : "gpa";
          const change = {
            path,
            iovaPolicy,
            segments,
            eventIdx,
            indirect,
            order: "out-of-order",
            delaySteps: 3,
          } as const;
          const { machine, model } = withDisk(change);
          for (let pass = 0; pass < 3; pass++) {
            expect(machine.pass(pass)).toMatchObject({ lost: 0, duplicated: 0, refused: 0, fault: undefined });
            expect(Buffer.compare(machine.received(), machine.sent)).toBe(0);
          }
          machine.settle();
          machine.oracle?.sync();
          expect(machine.bookProblems()).toEqual([]);
          if (path === "svq" || path === "used-only") expect(machine.oracle?.missing()).toEqual([]);
          expect(machine.oracle?.strays()).toEqual([]);
          model.close();
        }
      }
    });
  }

  test("that is too small refuses requests, and the driver counts them", () => {
    const { machine, model } = withDisk({}, join(folder, "image"), 8 * 1024);
    const { refused, lost } = machine.pass();
    expect(refused).toBeGreaterThan(0);
    expect(lost).toBe(0);
    model.close();
  });

  test("on a full file system refuses writes", () => {
    const { machine, model } = withDisk({}, "/dev/full");
    expect(machine.pass().refused).toBeGreaterThanOrEqual(30);
    expect(model.hostError?.message).toMatch(/ENOSPC/);
    model.close();
  });

  test("that forgets a write does not pass: each pass puts the blocks elsewhere (twin)", () => {
    const { model } = withDisk({});
    const out = Object.create(model, {
      serve: {
        value: (request: Parameters<BlkDevice["serve"]>[0]) => {
          // Reads and everything else are served; of the writes every fifth is not carried out.
          if (request.readableBytes > 16 && lost++ % 5 === 0) {
            request.write(0, new Uint8Array([0]));
            return 1;
          }
          return model.serve(request);
        },
      },
    });
    let lost = 0;
    const machine = testMachine(
      { device: "blk", requestBytes: 1024 },
      { inputBytes: INPUT_BYTES, device: { model: out } },
    );
    machine.pass(0);
    expect(Buffer.compare(machine.received(), machine.sent)).not.toBe(0);
    model.close();
  });

  test("that says nothing of its status is not believed, whatever that is (SPLIT-13)", () => {
    const { model } = withDisk({});
    const serve = (request: Parameters<BlkDevice["serve"]>[0]) => model.serve(request) - 1;
    const machine = testMachine(
      { device: "blk", requestBytes: 1024 },
      { inputBytes: INPUT_BYTES, device: { model: Object.create(model, { serve: { value: serve } }) } },
    );
    const { requests, refused } = machine.pass();
    expect([refused, machine.received().every((byte) => byte === 0)]).toEqual([requests, true]);
    model.close();
  });
});

import { describe, expect, test } from "vitest";
import type { MachineConfig } from "../../src/machine/config.js";
import { ForwardingMemory } from "../../src/memory/forwarding-memory.js";
import type { Role } from "../../src/memory/role.js";
import { type LabOptions, type Party, runLab } from "../helpers/simulated-lab.js";

/** Small rings, one request at a time and no log: what orders by accident is out of the way. */
const BARE: Partial<MachineConfig> = { path: "svq", queueSize: 2, depth: 1, batch: 1, segments: 1, dirtyLog: false };

/** What the first of `seeds` runs finds that finds anything; "" when none does. */
function firstFinding(seeds: number, options: Omit<LabOptions, "seed">): string {
  for (let seed = 1; seed <= seeds; seed++) {
    const { verdict } = runLab({ ...options, seed });
    if (verdict !== "fine") return verdict;
  }
  return "";
}

class Unfenced extends ForwardingMemory {
  override fence(): void {}
}

class Plain extends ForwardingMemory {
  override publish16(offset: number, value: number): void {
    this.inner.write16(offset, value);
  }

  override fence(): void {}
}

/** Memory without marks. */
class Unmarked extends ForwardingMemory {
  override setBits32(offset: number, bits: number): void {
    if (bits === 1) this.inner.setBits32(offset, bits);
  }
}

const only =
  (
    who: Party,
    faulty: new (inner: ConstructorParameters<typeof ForwardingMemory>[0]) => ForwardingMemory,
  ): LabOptions["wrap"] =>
  (memory, party) =>
    party === who ? new faulty(memory) : memory;

/** The same role, believing that it may sleep once it has asked to be woken. */
function withoutSecondLook(who: Party): (role: Role) => Role {
  return (role) => {
    if (role.name !== who) return role;
    return {
      name: role.name,
      step: () => role.step(),
      arm: () => {
        role.arm();
        return true;
      },
    };
  };
}

describe("found in simulated memory", () => {
  for (const eventIdx of [true, false]) {
    const mode = eventIdx ? "event index" : "flags";
    const config = { ...BARE, eventIdx };

    test(`nothing, as long as nothing is wrong (${mode})`, () => {
      for (const model of ["sc", "tso", "pso"] as const) {
        expect(firstFinding(40, { config, model })).toBe("");
      }
    });

    for (const who of ["driver", "relay", "device"] as const) {
      test(`fences removed from the ${who}: everybody sleeps, under TSO as under PSO (${mode})`, () => {
        for (const model of ["tso", "pso"] as const) {
          expect(firstFinding(300, { config, model, wrap: only(who, Unfenced)! })).toMatch(/asleep/);
        }
      });

      test(`the second look after arming removed from the ${who}: everybody sleeps, under SC already (${mode})`, () => {
        expect(firstFinding(300, { config, model: "sc", wrapRole: withoutSecondLook(who) })).toMatch(/asleep/);
      });
    }
  }

  for (const who of ["driver", "relay", "device"] as const) {
    test(`the ${who}'s publish made a plain write: PSO breaks something, and the owner map names the race`, () => {
      const wrap = only(who, Plain)!;
      expect(firstFinding(100, { config: BARE, model: "pso", owners: false, wrap })).not.toBe("");
      expect(firstFinding(20, { config: BARE, model: "sc", wrap })).toMatch(/RaceError/);
    });
  }

  test("a log that keeps no marks", () => {
    const config = { ...BARE, dirtyLog: true, device: "net" as const };
    expect(firstFinding(1, { config, model: "sc", wrap: only("relay", Unmarked)! })).toMatch(/is not marked/);
  });
});

test("no fence is needed where publish is what JavaScript makes of it: that of real memory may be empty", () => {
  for (const eventIdx of [true, false]) {
    const wrap: LabOptions["wrap"] = (memory) => new Unfenced(memory);
    expect(firstFinding(60, { config: { ...BARE, eventIdx }, model: "pso", publish: "seq_cst", wrap })).toBe("");
  }
});

import { describe, expect, it } from "vitest";
import { SimulatedMachine } from "../../src/memory/simulated/simulated-machine.js";
import { everyOutcome, Program } from "./every-run.js";

describe("everyOutcome()", () => {
  const orders = (a: string, b: string) =>
    everyOutcome(() => {
      const machine = new SimulatedMachine({ parties: ["a", "b"], model: "sc" });
      const journal = { text: "", add: (letter: string) => (journal.text += letter) };
      const writes = (letters: string) =>
        new Program((wrap) => {
          const own = wrap({ add: journal.add });
          for (const letter of letters) own.add(letter);
        });
      return { machine, programs: [writes(a), writes(b)], outcome: () => journal.text };
    });

  it("takes every order of two programs, each once", () => {
    expect(orders("12", "xy")).toEqual(['"12xy"', '"1x2y"', '"1xy2"', '"x12y"', '"x1y2"', '"xy12"']);
    expect(orders("123", "xyz")).toHaveLength(20);
  });

  it("lets a program decide by what it was answered", () => {
    const outcomes = everyOutcome(() => {
      const machine = new SimulatedMachine({ parties: ["a", "b"], model: "sc" });
      const cell = { value: 0, swap: (value: number) => ([value, cell.value] = [cell.value, value])[0] };
      const seen: string[] = [];
      const program = (name: string) =>
        new Program((wrap) => {
          const own = wrap(cell);
          if (own.swap(1) === 0) own.swap(1);
          seen[name === "a" ? 0 : 1] = name;
        });
      return { machine, programs: [program("a"), program("b")], outcome: () => seen.join() };
    });
    expect(outcomes).toEqual(['"a,b"']);
  });
});

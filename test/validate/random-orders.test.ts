/** Random orders of a relay that cannot be saved: it lives its life again, and a few hundred find what is missing. */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { castWith } from "../../src/validate/explorer/cast.js";
import { Explorer } from "../../src/validate/explorer/explorer.js";
import { type PlayOptions, threePartyPlay } from "../../src/validate/explorer/play.js";
import { randomOrders } from "../../src/validate/explorer/random-orders.js";
import { TWINS } from "../../src/validate/explorer/twin-list.js";
import type { CreateRelay, OwnRelay } from "../../src/validate/own-relay/interface.js";
import { loadModule } from "../../src/validate/own-relay/load.js";
import { ownParty } from "../../src/validate/own-relay/own-party.js";
import { packageRoot } from "../../src/workers/worker-url.js";

const { createRelay } = await loadModule(pathToFileURL(join(packageRoot(), "examples/minimal-relay.js")).href);
const minimal = createRelay as CreateRelay;
const PLAY = { ring: 1, requests: 2, eventIdx: false, log: false } as const;
const FENCES = TWINS.filter(({ kind, what }) => kind === "fence" && what.includes("relay, between"));

/** The minimal relay with something else in the place of save(). */
function saving(save: (() => unknown) | undefined): CreateRelay {
  return (parts) => Object.assign(minimal(parts), { save } as Partial<OwnRelay>);
}

function playOf(create: CreateRelay): PlayOptions {
  return { ...PLAY, relay: (seat) => ownParty(create, seat) };
}

test("a relay that keeps the rules has no fault in any of 450 orders", () => {
  for (const model of ["sc", "tso", "pso"] as const) {
    const result = randomOrders(threePartyPlay(playOf(saving(undefined))), model, { seed: 1, orders: 150 });
    expect(result).toEqual({ orders: 150, violation: undefined });
  }
});

test.each(FENCES)("500 orders find: $what", async (twin) => {
  const make = await castWith(twin);
  const options = { seed: 1, orders: 500 };
  const found = ["sc", "tso", "pso"].map((model) => {
    const play = threePartyPlay({ ...PLAY, make });
    return randomOrders(play, model as "sc", options).violation?.what;
  });
  expect(found).toEqual([undefined, "asleep: driver", "asleep: driver"]);
});

test("a way that was drawn is one that the explorer walks: a shorter one ends in the same fault", async () => {
  const make = await castWith(FENCES[0]!);
  const drawn = randomOrders(threePartyPlay({ ...PLAY, make }), "tso", { seed: 1, orders: 500 }).violation!;
  const { violation } = new Explorer(threePartyPlay({ ...PLAY, make }), "tso").search({ statesMax: 1e6 });
  expect(violation!.what).toBe(drawn.what);
  expect(violation!.moves.length).toBeLessThanOrEqual(drawn.moves.length);
});

test("a relay with save() is explored in every order; with nothing saved it starts anew each turn, which shows", () => {
  const all = (create: CreateRelay) => new Explorer(threePartyPlay(playOf(create)), "sc").search({ statesMax: 1e6 });
  const { complete, violation } = new Explorer(
    threePartyPlay({ ...PLAY, relay: (seat) => ownParty(minimal, seat) }),
    "sc",
  ).search({ statesMax: 1e6 });
  expect({ complete, violation }).toEqual({ complete: true, violation: undefined });
  expect(all(saving(() => ({}))).violation).toBeDefined();
  expect(all(saving(() => () => 0)).violation!.what).toMatch(/O9: what save\(\) gives cannot be cloned/);
});

import { featureBit, VIRTIO_F_VERSION_1 } from "../../layout/virtio-config.js";
import { DEFAULT_CONFIG, type MachineConfig } from "../../machine/config.js";
import { PeerFault } from "../../ring/peer-fault.js";
import { DEVICE_RING_FEATURES, hasFeature, shadowableFeatures } from "../../transport/features.js";
import { WholeMachine } from "../faults/whole-machine.js";
import type { Case, Row } from "./case.js";
import { plainCase } from "./rig-case.js";

/** What takes a whole machine. */
export const MACHINE_ROWS: readonly Row[] = [
  { id: "BI-77", title: "features that were not offered", cases: features },
  { id: "BI-81", title: "an address space that is planned anew under way", cases: remaps },
];

const CONFIG: MachineConfig = {
  ...DEFAULT_CONFIG,
  placement: "inline",
  device: "net",
  ramBytes: 2 ** 20,
  queueSize: 16,
  depth: 8,
  batch: 4,
  requestBytes: 600,
};

const { offered: OFFERED } = shadowableFeatures(DEVICE_RING_FEATURES, false);

/** Hands features to a relay that was just shown its device; what it refuses breaks nothing. */
function featureCase(name: string, expected: Case["expected"], features: bigint): Case {
  return plainCase(name, expected, () => {
    const { relay, device } = new WholeMachine(CONFIG);
    for (let i = 0; i < 8; i++) for (const role of [device, relay]) role.step();
    for (let i = 0; i < 16; i++) {
      const answer = relay.negotiate(features);
      if (answer === "refused") throw new PeerFault("features-refused", name);
      if (answer === "done") return undefined;
      for (const role of [device, relay]) role.step();
    }
    return "no answer";
  });
}

function features(): Case[] {
  const bits = Array.from({ length: 64 }, (_, bit) => bit);
  const version = featureBit(VIRTIO_F_VERSION_1);
  const own = bits.filter((bit) => hasFeature(OFFERED, bit));
  return [
    ...bits
      .filter((bit) => !own.includes(bit))
      .map((bit) => featureCase(`bit ${bit}`, "refuse features-refused", version | featureBit(bit))),
    featureCase("nothing, as before VIRTIO 1.0", "refuse features-refused", 0n),
    featureCase("all but VERSION_1", "refuse features-refused", OFFERED & ~version),
    ...own.map((bit) => featureCase(`bit ${bit}`, "forward", version | featureBit(bit))),
    featureCase("all that were offered", "forward", OFFERED),
  ];
}

/** A machine at work that is asked for a new plan of its addresses right before one of its turns. */
function remaps(): Case[] {
  return Array.from({ length: 24 }, (_, i) => i * 7).map((turn) =>
    plainCase(`before turn ${turn}`, "forward", () => {
      const machine = new WholeMachine(CONFIG, { inputBytes: 12_000, judged: true });
      let turns = 0;
      const { lost, duplicated } = machine.pass(0, 0, undefined, () => {
        if (turns++ === turn) machine.relay.requestRemap();
      });
      if (lost !== 0 || duplicated !== 0) return `${lost} requests were lost, ${duplicated} came twice`;
      if (Buffer.compare(machine.received(), machine.sent) !== 0) return "what came back is not what was sent";
      return machine.bookProblems()[0];
    }),
  );
}

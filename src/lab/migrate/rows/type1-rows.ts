import { PAGE_BYTES } from "../../../memory/address.js";
import { assert } from "../../../memory/assert.js";
import { Type1Container } from "../../../vfio/type1-container.js";
import { Type1Tracker } from "../../../vfio/type1-tracker.js";
import type { RowGround, RowWiring, TrackerRow } from "../row.js";

/** The legacy container, which knows of writes only what is mapped or pinned. */
export const TYPE1_ROWS: readonly TrackerRow[] = [
  {
    name: "type1-all",
    expect: "sound",
    does: "Whatever a container maps counts as dirty at every sync: rounds end by their number, and never converge.",
    wire: (ground) => wire("type1-all", ground, false),
  },
  {
    name: "type1-pinned",
    expect: "sound",
    does: "Drivers pin what their devices may write, and all that is pinned counts as dirty at every sync.",
    wire: (ground) => wire("type1-pinned", ground, true),
  },
];

function wire(name: string, { guest, blocks, stores }: RowGround, pinnedOnly: boolean): RowWiring {
  const container = new Type1Container();
  for (const { gpa, bytes } of blocks) assert(container.map(gpa, bytes) === 0, "RAM is mapped where it lies");
  for (const port of guest.devices) {
    container.attach({ name: port.writer, pinnedOnly });
    if (pinnedOnly) for (const { address, bytes } of guest.targets(port)) pin(container, address, bytes);
  }
  const covers = guest.devices.map(({ writer }) => writer);
  return {
    entries: [stores, { tracker: new Type1Tracker(name, container), covers }],
    config: { cpu: "store-log", devices: covers.map((writer) => ({ name: writer, trackers: ["type1"] })) },
  };
}

function pin(container: Type1Container, address: number, bytes: number): void {
  const from = address - (address % PAGE_BYTES);
  assert(container.pin(from, address + bytes - from) === 0, "what a device may write is mapped");
}

import type { LayoutTable, StructTable } from "../../native-layout/probe.js";
import { ERRNO } from "../../src/layout/errno.js";
import * as kvm from "../../src/layout/kvm.js";
import * as linux from "../../src/layout/linux.js";

import * as vhost from "../../src/layout/vhost.js";
import * as virtioBlk from "../../src/layout/virtio-blk.js";
import * as virtioConfig from "../../src/layout/virtio-config.js";
import * as virtioNet from "../../src/layout/virtio-net.js";
import * as virtioRing from "../../src/layout/virtio-ring.js";

/** Every file of src/layout and what it exports; one that is missing here fails a test. */
export const LAYOUT_FILES: ReadonlyMap<string, object> = new Map<string, object>([
  ["linux.ts", linux],
  ["errno.ts", ERRNO],
  ["kvm.ts", kvm],
  ["vhost.ts", vhost],
  ["virtio-blk.ts", virtioBlk],
  ["virtio-config.ts", virtioConfig],
  ["virtio-net.ts", virtioNet],
  ["virtio-ring.ts", virtioRing],
]);

/** Files of src/layout that no header can be asked about, each with who asks instead. */
export const WITHOUT_HEADER: Readonly<Record<string, string>> = {
  "vhost-user.ts": "Linux has no header for vhost-user: vhost-user.test.ts compares it with structs of its own in C",
};

/** Constants that a table may lack, each with the reason; where a table has one, it must agree. */
export const NOT_IN_EVERY_TABLE: Readonly<Record<string, string>> = {
  QUEUE_SIZE_MAX: "the headers have no name for it; the ring sizes of the tables end with it",
  VIRTIO_BLK_SECTOR_BYTES: "the headers say 512 in comments only",
  VIRTIO_CONFIG_S_SUSPEND: "VIRTIO 1.4, not in Linux",
  VIRTIO_F_SUSPEND: "VIRTIO 1.4, not in Linux",
  VIRTIO_F_NOTIFICATION_DATA: "younger than Linux 6.1",
  VIRTIO_F_NOTIF_CONFIG_DATA: "younger than Linux 6.1",
  VIRTIO_F_ADMIN_VQ: "younger than Linux 6.1",
};

/** Numbers that change with the age of the headers, and which side may be larger. */
const GROWS: Readonly<Record<string, (ours: number, theirs: number) => boolean>> = {
  // Headers raise it with each transport feature; ours lies past all of them.
  VIRTIO_TRANSPORT_F_END: (ours, theirs) => ours >= theirs,
  // Headers append fields; ours is a prefix.
  "VIRTIO_BLK_CONFIG.size": (ours, theirs) => ours <= theirs,
};

export interface StructLayout {
  readonly size: number;
  readonly offsets: Readonly<Record<string, number>>;
}

/** All exports of src/layout in one object. */
export function allExports(): Record<string, unknown> {
  return Object.assign({}, ...LAYOUT_FILES.values());
}

/** Tells a struct among the exports. */
export function isStruct(value: unknown): value is StructLayout {
  return typeof value === "object" && value !== null && "size" in value && "offsets" in value;
}

/** What TypeScript and C say differently, in either direction, one sentence each; empty when they agree. */
export function differences(layout: Readonly<Record<string, unknown>>, table: LayoutTable): string[] {
  const found: string[] = [];
  for (const [name, value] of Object.entries(layout)) {
    if (typeof value === "function") continue;
    if (isStruct(value)) found.push(...structDifferences(name, value, table.structs[name.toLowerCase()]));
    else if (typeof value === "number") found.push(...constantDifferences(name, value, table.constants[name]));
    else found.push(`${name} is neither a struct nor a number`);
  }
  for (const name of [...Object.keys(table.structs).map((key) => key.toUpperCase()), ...Object.keys(table.constants)]) {
    if (!(name in layout)) found.push(`${name} is missing in TypeScript`);
  }
  return found;
}

function structDifferences(name: string, ours: StructLayout, theirs: StructTable | undefined): string[] {
  if (theirs === undefined) return [`${name} is missing in C`];
  const found = numberDifferences(`${name}.size`, ours.size, theirs.size);
  for (const [field, offset] of Object.entries(ours.offsets)) {
    found.push(...numberDifferences(`${name}.offsets.${field}`, offset, theirs.fields[field]?.offset));
  }
  for (const field of Object.keys(theirs.fields)) {
    if (!(field in ours.offsets)) found.push(`${name}.offsets.${field} is missing in TypeScript`);
  }
  return found;
}

function constantDifferences(name: string, ours: number, theirs: number | undefined): string[] {
  return theirs === undefined && name in NOT_IN_EVERY_TABLE ? [] : numberDifferences(name, ours, theirs);
}

function numberDifferences(name: string, ours: number, theirs: number | undefined): string[] {
  if (theirs === undefined) return [`${name} is missing in C`];
  const agree = GROWS[name] ?? Object.is;
  return agree(ours, theirs) ? [] : [`${name} is ${ours}, C says ${theirs}`];
}

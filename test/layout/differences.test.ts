import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type LayoutTable, NATIVE_LAYOUT_DIR } from "../../native-layout/probe.js";
import { VIRTIO_BLK_CONFIG } from "../../src/layout/virtio-blk.js";
import { VRING_USED_ELEM } from "../../src/layout/virtio-ring.js";
import { allExports, differences, isStruct } from "./differences.js";

const TABLES_DIR = join(NATIVE_LAYOUT_DIR, "tables");
const table = JSON.parse(readFileSync(join(TABLES_DIR, readdirSync(TABLES_DIR)[0]!), "utf8")) as LayoutTable;

test("a wrong offset is seen", () => {
  const swapped = { ...VRING_USED_ELEM, offsets: { id: 4, len: 0 } };
  expect(differences({ ...allExports(), VRING_USED_ELEM: swapped }, table)).toEqual([
    "VRING_USED_ELEM.offsets.id is 4, C says 0",
    "VRING_USED_ELEM.offsets.len is 0, C says 4",
  ]);
});

test("each single offset, size and constant is seen when it is one off", () => {
  // Numbers that may differ, since C has none or grows, are another test's.
  const free = /^(QUEUE_SIZE_MAX|VIRTIO_TRANSPORT_F_END|VIRTIO_BLK_SECTOR_BYTES|VIRTIO_BLK_CONFIG\.size)$/;
  let count = 0;
  for (const [name, mutant] of mutants()) {
    if (free.test(name) || (!name.includes(".") && !(name in table.constants))) continue;
    expect(differences(mutant, table).join(), name).toMatch(`${name} is `);
    count += 1;
  }
  expect(count).toBeGreaterThan(130);
});

test("a struct, field or constant that C has not is seen", () => {
  const offsets = { ...VRING_USED_ELEM.offsets, spare: 8 };
  const layout = {
    ...allExports(),
    VRING_USED_ELEM: { size: 8, offsets },
    VRING_X: { size: 4, offsets: {} },
    VRING_Y: 1,
  };
  expect(differences(layout, table)).toEqual([
    "VRING_USED_ELEM.offsets.spare is missing in C",
    "VRING_X is missing in C",
    "VRING_Y is missing in C",
  ]);
});

test("a struct, field or constant that only C has is seen", () => {
  const { VRING_DESC: _, VHOST_F_LOG_ALL: __, ...rest } = allExports();
  const layout = { ...rest, VRING_USED_ELEM: { size: 8, offsets: { id: 0 } } };
  expect(differences(layout, table).sort()).toEqual([
    "VHOST_F_LOG_ALL is missing in TypeScript",
    "VRING_DESC is missing in TypeScript",
    "VRING_USED_ELEM.offsets.len is missing in TypeScript",
  ]);
});

test("a prefix of a growing struct may be shorter than C's, not longer", () => {
  const resized = (size: number) => ({ ...allExports(), VIRTIO_BLK_CONFIG: { ...VIRTIO_BLK_CONFIG, size } });
  const theirs = table.structs["virtio_blk_config"]!.size;
  expect(differences(resized(theirs), table)).toEqual([]);
  expect(differences(resized(theirs + 1), table)).toEqual([
    `VIRTIO_BLK_CONFIG.size is ${theirs + 1}, C says ${theirs}`,
  ]);
});

test("an export of another kind is refused", () => {
  expect(differences({ ...allExports(), NAMES: ["desc"] }, table)).toEqual(["NAMES is neither a struct nor a number"]);
});

/** All exports with one number raised by one, once per number. */
function* mutants(): Generator<[string, Record<string, unknown>]> {
  const layout = allExports();
  for (const [name, value] of Object.entries(layout)) {
    if (typeof value === "number") yield [name, { ...layout, [name]: value + 1 }];
    if (!isStruct(value)) continue;
    yield [`${name}.size`, { ...layout, [name]: { ...value, size: value.size + 1 } }];
    for (const [field, offset] of Object.entries(value.offsets)) {
      const offsets = { ...value.offsets, [field]: offset + 1 };
      yield [`${name}.offsets.${field}`, { ...layout, [name]: { ...value, offsets } }];
    }
  }
}

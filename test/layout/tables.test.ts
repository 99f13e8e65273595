import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type LayoutTable, NATIVE_LAYOUT_DIR, probeLayout, tableName } from "../../native-layout/probe.js";
import { VIRTIO_BLK_CONFIG } from "../../src/layout/virtio-blk.js";
import * as virtioConfig from "../../src/layout/virtio-config.js";
import * as virtioRing from "../../src/layout/virtio-ring.js";
import { allExports, differences, isStruct, LAYOUT_FILES, NOT_IN_EVERY_TABLE, WITHOUT_HEADER } from "./differences.js";

const TABLES_DIR = join(NATIVE_LAYOUT_DIR, "tables");
const tables: [string, LayoutTable][] = readdirSync(TABLES_DIR)
  .filter((name) => name.endsWith(".json"))
  .map((name) => [name, JSON.parse(readFileSync(join(TABLES_DIR, name), "utf8")) as LayoutTable]);

test("there is at least one committed table", () => {
  expect(tables.length).toBeGreaterThan(0);
});

test("every file of src/layout is compared, and no two export the same name", () => {
  const files = readdirSync(join(NATIVE_LAYOUT_DIR, "..", "src", "layout")).filter((name) => name.endsWith(".ts"));
  expect(files.sort()).toEqual([...LAYOUT_FILES.keys(), ...Object.keys(WITHOUT_HEADER)].sort());
  const names = [...LAYOUT_FILES.values()].flatMap((file) => Object.keys(file));
  expect(new Set(names).size).toBe(names.length);
});

describe.each(tables)("%s", (name, table) => {
  test("is named after what it holds", () => {
    expect(name).toBe(tableName(table));
  });

  test("has a little-endian host's layout", () => {
    expect(table.endianness).toBe("little");
  });

  test("agrees with every struct and constant, and neither side has one more", () => {
    expect(differences(allExports(), table)).toEqual([]);
  });

  test("holds no field that ends behind its struct in TypeScript, flexible arrays excepted", () => {
    for (const [struct, layout] of Object.entries(allExports())) {
      if (!isStruct(layout)) continue;
      const fields = Object.values(table.structs[struct.toLowerCase()]!.fields);
      const ends = fields.filter(({ offset }) => offset < layout.size).map(({ offset, size }) => offset + size);
      expect(Math.max(...ends), struct).toBeLessThanOrEqual(layout.size);
    }
  });

  test("has the 16 legal ring sizes, and isQueueSize() accepts those and no other", () => {
    const legal = table.rings.map(({ num }) => num);
    expect(legal).toHaveLength(16);
    expect(legal.at(-1)).toBe(virtioRing.QUEUE_SIZE_MAX);
    const accepted = Array.from({ length: 0x1_0001 }, (_, num) => num).filter(virtioRing.isQueueSize);
    expect(accepted).toEqual(legal);
  });

  test.each(table.rings)("agrees on the areas and event words of a ring of $num", ({ num, align4, align4096 }) => {
    for (const [align, ring] of [[4, align4] as const, [4096, align4096] as const]) {
      const used = roundUp(virtioRing.descTableBytes(num) + virtioRing.availRingBytes(num), align);
      expect({
        vring_size: used + virtioRing.usedRingBytes(num),
        avail: virtioRing.descTableBytes(num),
        vring_used_event: virtioRing.descTableBytes(num) + virtioRing.usedEventOffset(num),
        used,
        vring_avail_event: used + virtioRing.availEventOffset(num),
      }).toEqual(ring);
    }
  });
});

test("each constant that a table may lack is exported, and is lacked by one", () => {
  for (const name of Object.keys(NOT_IN_EVERY_TABLE)) {
    expect(allExports(), name).toHaveProperty(name);
    expect(
      tables.some(([, table]) => !(name in table.constants)),
      name,
    ).toBe(true);
  }
});

test("VIRTIO_BLK_CONFIG ends where the padding of its last field does", () => {
  const { size, offsets } = VIRTIO_BLK_CONFIG;
  expect(size).toBe(roundUp(offsets.write_zeroes_may_unmap + 1, 4));
});

test("VIRTIO_TRANSPORT_F_END is one past the last transport feature that has a name", () => {
  const bits = Object.entries({ ...virtioConfig, ...virtioRing })
    .filter(([name]) => /^VIRTIO_(RING_)?F_/.test(name))
    .map(([, bit]) => bit as number);
  expect(virtioConfig.VIRTIO_TRANSPORT_F_END).toBe(Math.max(...bits) + 1);
});

test("this machine's headers agree as well, and with the table of their name", (ctx) => {
  const probe = probeLayout();
  if ("why" in probe) return ctx.skip(probe.why);
  expect(differences(allExports(), probe.table)).toEqual([]);
  const committed = tables.find(([name]) => name === tableName(probe.table));
  if (committed) expect(probe.table, "run npm run layout after a change of layout.c").toEqual(committed[1]);
});

function roundUp(bytes: number, align: number): number {
  return Math.ceil(bytes / align) * align;
}

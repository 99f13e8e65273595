import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import * as vhostUser from "../../src/layout/vhost-user.js";
import { allExports, isStruct, type StructLayout } from "./differences.js";

/** Fields of each payload in the order of the protocol text, with the type that it gives them. */
const FIELDS: Readonly<Record<string, readonly (readonly [type: string, field: string])[]>> = {
  VHOST_USER_HEADER: [u32("request"), u32("flags"), u32("size")],
  VHOST_USER_MEMORY: [u32("nregions"), u32("padding"), ["uint64_t", "regions[0]"]],
  VHOST_USER_MEMORY_REGION: [u64("guest_phys_addr"), u64("memory_size"), u64("userspace_addr"), u64("mmap_offset")],
  VHOST_USER_MEM_REG_MSG: [u64("padding"), ["uint64_t", "region[4]"]],
  VHOST_USER_LOG: [u64("mmap_size"), u64("mmap_offset")],
  VHOST_USER_CONFIG: [u32("offset"), u32("size"), u32("flags"), ["uint8_t", "region[0]"]],
  VHOST_USER_VRING_AREA: [u64("u64"), u64("size"), u64("offset")],
  VHOST_USER_INFLIGHT: [u64("mmap_size"), u64("mmap_offset"), ["uint16_t", "num_queues"], ["uint16_t", "queue_size"]],
  VHOST_USER_SHARED: [["uint8_t", "uuid[16]"]],
  VHOST_USER_TRANSFER_DEVICE_STATE: [u32("direction"), u32("phase")],
};

const ours = Object.entries(vhostUser).filter(([, value]) => isStruct(value)) as [string, StructLayout][];

test("every struct of vhost-user.ts has its fields listed here, and no export of another file has its name", () => {
  expect(Object.keys(FIELDS).sort()).toEqual(ours.map(([name]) => name).sort());
  expect(Object.keys(vhostUser).filter((name) => name in allExports())).toEqual([]);
});

test("a C compiler lays the structs out alike", (ctx) => {
  const theirs = compiled();
  if (theirs === undefined) return ctx.skip("there is no C compiler (cc)");
  expect(theirs).toEqual(Object.fromEntries(ours));
});

function compiled(): unknown {
  const structs = Object.entries(FIELDS).map(([name, fields]) => {
    return `struct ${name} { ${fields.map(([type, field]) => `${type} ${field};`).join(" ")} };`;
  });
  const rows = Object.entries(FIELDS).map(([name, fields]) => {
    const names = fields.map(([, field]) => field.replace(/\[.*/, ""));
    const format = `"${name}":{"size":%zu,"offsets":{${names.map((field) => `"${field}":%zu`).join()}}}`;
    const values = names.map((field) => `offsetof(struct ${name}, ${field})`);
    return `printf(${JSON.stringify(format)}, ${[`sizeof(struct ${name})`, ...values].join()});`;
  });
  const main = `int main(void) { putchar('{'); ${rows.join(" putchar(','); ")} putchar('}'); return 0; }`;
  const folder = mkdtempSync(join(tmpdir(), "vhost-user-layout-"));
  try {
    const source = ["#include <stddef.h>", "#include <stdint.h>", "#include <stdio.h>", ...structs, main].join("\n");
    writeFileSync(join(folder, "layout.c"), source);
    execFileSync("cc", ["-o", join(folder, "layout"), join(folder, "layout.c")], { timeout: 30_000 });
    return JSON.parse(execFileSync(join(folder, "layout"), { encoding: "utf8", timeout: 10_000 }));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function u32(field: string): readonly [string, string] {
  return ["uint32_t", field];
}

function u64(field: string): readonly [string, string] {
  return ["uint64_t", field];
}

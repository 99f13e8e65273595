import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { type ArchiveEntry, newcArchive } from "../../../src/lab/newc-archive.js";
import { packageRoot } from "../../../src/workers/worker-url.js";
import { needed, neededKernel } from "./peers.js";

/** In the order in which they are loaded: each after those it needs. */
const MODULES = [
  ...["virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk"],
  ...["fuse", "virtiofs"],
  ...["crc16", "mbcache", "crc32c_generic", "jbd2", "ext4"],
];
const TOOLS = ["verify", "load", "migtest"];
const FOLDERS = ["bin", "dev", "lib", "mnt", "modules", "proc", "sys", "tools"];

const sources = join(packageRoot(), "test", "peers", "guest");
const built = join(packageRoot(), "dist", "peers");

/**
 * The guest's first root file system: busybox, drivers, our tools, init.sh. Built when a part of it has changed.
 *
 * Throws when a peer is missing or a tool does not compile.
 */
export function guestImage(): string {
  const { path: compiler, version } = needed("compiler");
  const { modules, release } = neededKernel();
  const hash = createHash("sha256").update(`${version}\n${release}\n${needed("busybox").version}\n${MODULES.join()}`);
  for (const file of readdirSync(sources).sort()) hash.update(`${file}\n`).update(readFileSync(join(sources, file)));
  const image = join(built, `guest-${hash.digest("hex").slice(0, 16)}.cpio`);
  if (existsSync(image)) return image;
  mkdirSync(built, { recursive: true });
  const scratch = mkdtempSync(join(built, "new-"));
  try {
    const packed = join(scratch, "image");
    writeFileSync(packed, newcArchive([...base(), ...drivers(modules), ...tools(compiler, scratch)]));
    renameSync(packed, image);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return image;
}

function base(): ArchiveEntry[] {
  return [
    ...FOLDERS.map((path) => ({ path, mode: 0o040755 })),
    program("init", readFileSync(join(sources, "init.sh"))),
    program("bin/busybox", readFileSync(needed("busybox").path)),
  ];
}

/** A driver that this kernel has built in is not among its modules and not needed. */
function drivers(folder: string): ArchiveEntry[] {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
  const found = MODULES.flatMap((name) => files.find((file) => basename(file) === `${name}.ko`) ?? []);
  if (!found.some((file) => basename(file) === "virtio_blk.ko")) throw new Error(`no plain virtio_blk.ko in ${folder}`);
  return [
    {
      path: "modules/order",
      mode: 0o100644,
      content: Buffer.from(`${found.map((file) => basename(file)).join("\n")}\n`),
    },
    ...found.map((file) => program(`modules/${basename(file)}`, readFileSync(join(folder, file)))),
  ];
}

function tools(compiler: string, scratch: string): ArchiveEntry[] {
  return TOOLS.map((name) => {
    const output = join(scratch, name);
    const flags = ["-std=gnu11", "-static", "-s", "-O2", "-Wall", "-Wextra", "-Werror"];
    execFileSync(compiler, [...flags, "-o", output, join(sources, `${name}.c`)], { timeout: 60_000 });
    return program(`tools/${name}`, readFileSync(output));
  });
}

function program(path: string, content: Uint8Array): ArchiveEntry {
  return { path, mode: 0o100755, content };
}

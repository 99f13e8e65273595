import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readdirSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";

/** A program of somebody else's that was found here. */
export interface FoundProgram {
  readonly path: string;
  /** As the program says itself; "unknown" when it does not. */
  readonly version: string;
}

/** A kernel that a guest can boot, and its modules. */
export interface GuestKernel {
  /** The bzImage. */
  readonly image: string;
  /** As uname -r says in the guest. */
  readonly release: string;
  /** Folder with the modules: lib/modules/RELEASE/kernel. */
  readonly modules: string;
}

/** How a program is found and asked for its version. */
interface ProgramTraits {
  readonly names: readonly string[];
  /** Folders that are looked into besides PATH. */
  readonly folders?: readonly string[];
  readonly versionArgs: readonly string[];
}

const PROGRAMS = {
  qemu: { names: ["qemu-system-x86_64"], versionArgs: ["--version"] },
  "qemu-storage-daemon": { names: ["qemu-storage-daemon"], versionArgs: ["--version"] },
  virtiofsd: {
    names: ["virtiofsd"],
    folders: ["/usr/lib/qemu", "/usr/libexec", "/usr/libexec/virtiofsd"],
    versionArgs: ["--version"],
  },
  busybox: { names: ["busybox-static", "busybox"], versionArgs: ["--help"] },
  compiler: { names: ["cc", "gcc", "clang"], versionArgs: ["--version"] },
  taskset: { names: ["taskset"], versionArgs: ["--version"] },
  browser: { names: ["chromium", "chromium-browser", "google-chrome"], versionArgs: ["--version"] },
} as const satisfies Record<string, ProgramTraits>;

/** The name under which a program is known here. */
export type ProgramName = keyof typeof PROGRAMS;

/** Finds a program in PATH and where distributions hide it; undefined when it is not installed. */
export function findProgram(name: ProgramName, env: NodeJS.ProcessEnv = process.env): FoundProgram | undefined {
  const { names, folders = [], versionArgs }: ProgramTraits = PROGRAMS[name];
  const places = [...(env["PATH"] ?? "").split(delimiter), ...folders].filter((folder) => folder !== "");
  const path = names.flatMap((file) => places.map((folder) => join(folder, file))).find(isProgram);
  return path === undefined ? undefined : { path, version: versionOf(path, versionArgs) };
}

/** Where the guest kernel is kept: SVQ_PEERS_CACHE, or shadowvq in the user's cache folder. */
export function peerCacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  return env["SVQ_PEERS_CACHE"] || join(env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "shadowvq");
}

/** Finds the guest kernel that test/peers/install.sh unpacked; undefined when there is none. */
export function findGuestKernel(env: NodeJS.ProcessEnv = process.env): GuestKernel | undefined {
  const root = join(peerCacheFolder(env), "kernel");
  const images = existsSync(join(root, "boot")) ? readdirSync(join(root, "boot")) : [];
  return images
    .filter((file) => file.startsWith("vmlinuz-"))
    .map((file) => ({ image: join(root, "boot", file), release: file.slice("vmlinuz-".length) }))
    .map(({ image, release }) => ({ image, release, modules: join(root, "lib", "modules", release, "kernel") }))
    .find(({ modules }) => existsSync(modules));
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** The first thing that looks like a version in what the program prints; virtiofsd prints it to stderr. */
function versionOf(path: string, args: readonly string[]): string {
  const { stdout, stderr } = spawnSync(path, args, { encoding: "utf8", timeout: 5_000 });
  return /\d+\.\d+[\w.+~-]*/.exec(`${stdout}\n${stderr}`)?.[0] ?? "unknown";
}

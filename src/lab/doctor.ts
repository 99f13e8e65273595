import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { packageRoot, workerUrl } from "../workers/worker-url.js";
import { kvmOpens, probeBoot } from "./kvm-probe.js";
import { findGuestKernel, findProgram, type ProgramName } from "./peer-programs.js";
import { allowedCpus } from "./threads.js";

/** One thing that this machine may have. */
export interface DoctorCheck {
  readonly name: string;
  /** null: not proven either way. */
  readonly ok: boolean | null;
  /** What is there, or what is wrong. */
  readonly found: string;
  readonly needed_for: string;
  /** Whether `svq bench`, the main job, cannot do without it. */
  readonly required: boolean;
  /** How to get it: a command for Debian and its like; absent when it is there. */
  readonly install?: string;
}

/** What is looked into beyond what costs nothing. */
export interface DoctorOptions {
  /** Boots a guest with KVM; takes up to ten seconds. */
  readonly probeKvm: boolean;
}

const BENCH = "svq bench";
const PEERS = "tests with real peers";

/** Looks at all that any command or test may need, in the order in which people miss it. */
export function doctorChecks({ probeKvm }: DoctorOptions): DoctorCheck[] {
  return [
    nodeCheck(process.versions.node),
    workersCheck(),
    scratchCheck(),
    coresCheck(),
    pinningCheck(),
    programCheck("compiler", "C compiler", "the C twins of the benchmarks; guests' tools", "gcc libc6-dev"),
    koffiCheck(),
    programCheck("qemu", "QEMU", PEERS, "qemu-system-x86"),
    programCheck("qemu-storage-daemon", "qemu-storage-daemon", PEERS, "qemu-system-common"),
    programCheck("virtiofsd", "virtiofsd", PEERS, "qemu-system-common"),
    programCheck("busybox", "busybox", PEERS, "busybox-static"),
    kernelCheck(),
    kvmCheck(probeKvm),
    programCheck("browser", "browser", "a look at results in a browser", "chromium"),
  ];
}

/** The names of what the main job needs and does not have; empty when all is well. */
export function missingForBench(checks: readonly DoctorCheck[]): string[] {
  return checks.filter(({ required, ok }) => required && ok !== true).map(({ name }) => name);
}

/** Says whether this is a version of Node.js on which the package runs; the same as engines in package.json. */
export function nodeCheck(version: string): DoctorCheck {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const ok = major >= 24 || (major === 22 && minor >= 13) || (major === 20 && minor >= 19);
  const install = "install Node.js 20.19, 22.13, or 24 and newer: https://nodejs.org/en/download";
  return check({ name: "node", ok, found: version, needed_for: "everything", required: true, install });
}

function workersCheck(): DoctorCheck {
  const facts = { name: "build", needed_for: BENCH, required: true, install: "npm run build" };
  try {
    workerUrl("driver");
    return check({ ...facts, ok: true, found: "up to date" });
  } catch (error) {
    return check({ ...facts, ok: false, found: (error as Error).message });
  }
}

function scratchCheck(): DoctorCheck {
  const folder = tmpdir();
  const facts = { name: "temporary files", needed_for: BENCH, required: true, install: "set TMPDIR" };
  try {
    accessSync(folder, constants.W_OK);
    return check({ ...facts, ok: true, found: `${folder} can be written` });
  } catch (error) {
    return check({ ...facts, ok: false, found: `${folder}: ${(error as NodeJS.ErrnoException).code}` });
  }
}

function coresCheck(): DoctorCheck {
  const cores = availableParallelism();
  const enough = cores >= 2;
  return check({
    name: "cores",
    ok: enough,
    found: `${cores}${enough ? "" : ": no figure across threads is compared"}`,
    needed_for: "figures across threads",
    required: false,
    install: "give this machine two cores or more",
  });
}

function pinningCheck(): DoctorCheck {
  const facts = { name: "pinning", needed_for: "figures across threads", required: false };
  const program = findProgram("taskset");
  if (program === undefined) {
    return check({ ...facts, ok: false, found: "no taskset", install: "apt-get install util-linux" });
  }
  const cpus = allowedCpus();
  const { status, stderr } = spawnSync(program.path, ["-c", String(cpus[0]), "true"], {
    encoding: "utf8",
    timeout: 5_000,
  });
  return check({
    ...facts,
    ok: status === 0,
    found: status === 0 ? `taskset ${program.version}, CPUs ${cpus.join(",")}` : stderr.trim(),
    install: "allow sched_setaffinity in this container",
  });
}

/** In a process of its own: what does not fit this machine may end the process that loads it. */
function koffiCheck(): DoctorCheck {
  const script = 'const koffi = require("koffi"); console.log(koffi.version ?? "loads")';
  const { status, stdout, stderr } = spawnSync(process.execPath, ["-e", script], {
    cwd: packageRoot(),
    encoding: "utf8",
    timeout: 10_000,
  });
  const absent = /Cannot find module 'koffi'/.test(stderr);
  const failure = absent
    ? "not installed"
    : `does not load: ${/^\w*Error: .*/m.exec(stderr)?.[0] ?? `status ${status}`}`;
  return check({
    name: "koffi",
    ok: status === 0,
    found: status === 0 ? stdout.trim() : failure,
    needed_for: "vhost-user sockets and memory of real peers",
    required: false,
    install: "npm ci",
  });
}

function programCheck(program: ProgramName, name: string, neededFor: string, packages: string): DoctorCheck {
  const found = findProgram(program);
  return check({
    name,
    ok: found !== undefined,
    found: found === undefined ? "not installed" : `${found.version}, ${found.path}`,
    needed_for: neededFor,
    required: false,
    install: `apt-get install --no-install-recommends ${packages}`,
  });
}

function kernelCheck(): DoctorCheck {
  const kernel = findGuestKernel();
  return check({
    name: "guest kernel",
    ok: kernel !== undefined,
    found: kernel === undefined ? "none unpacked" : `${kernel.release}, ${kernel.image}`,
    needed_for: PEERS,
    required: false,
    install: "npm run peers:install",
  });
}

function kvmCheck(probe: boolean): DoctorCheck {
  const facts = { name: "KVM", needed_for: "guests at full speed; without it they are emulated", required: false };
  const install = "run where /dev/kvm is there and guests boot with it";
  if (!kvmOpens()) return check({ ...facts, ok: false, found: "/dev/kvm does not open", install });
  if (!probe) return { ...facts, ok: null, found: "/dev/kvm opens; not proven", install: "svq doctor --probe-kvm" };
  const qemu = findProgram("qemu");
  const kernel = findGuestKernel();
  if (qemu === undefined || kernel === undefined) {
    return { ...facts, ok: null, found: "nothing to boot", install: "npm run peers:install" };
  }
  const { reached, seconds, why } = probeBoot("kvm", qemu, kernel);
  const found = reached ? `a guest booted in ${seconds.toFixed(1)} s` : `/dev/kvm opens, but no guest boots: ${why}`;
  return check({ ...facts, ok: reached, found, install });
}

/** Leaves out how to get what is there. */
function check({ install, ...rest }: DoctorCheck & { readonly ok: boolean }): DoctorCheck {
  return rest.ok || install === undefined ? rest : { ...rest, install };
}

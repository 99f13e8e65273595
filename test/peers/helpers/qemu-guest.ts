import { inject } from "vitest";
import { DEBUG_EXIT_PORT } from "./boot-sector.js";
import { needed, neededKernel } from "./peers.js";
import { QmpClient } from "./qmp-client.js";
import type { Ending, PeerProcess, PeerScope } from "./scope.js";

/** A disk behind a vhost-user socket. */
interface GuestDisk {
  readonly socket: string;
  readonly queues?: number;
  /** Seconds between attempts to connect again after the back end has gone; never, when absent. */
  readonly reconnectSeconds?: number;
}

/** How a guest is started. */
export interface GuestOptions {
  /** The test and its arguments, as in guest/init.sh: "dd,1048576"; absent to boot from the first disk instead. */
  readonly test?: string;
  readonly name?: string;
  readonly disks?: readonly GuestDisk[];
  /** Socket of virtiofsd, or of what stands before it; the guest mounts it as "share". */
  readonly share?: string;
  readonly memoryMib?: number;
  /** Where the memory below 4 GiB ends; the rest lies above 4 GiB, as in large guests. */
  readonly belowFourGigMib?: number;
  readonly cpus?: number;
  /** Waits for a migration instead of booting. */
  readonly incoming?: boolean;
  /** More arguments for QEMU. */
  readonly extra?: readonly string[];
  /** After which it is killed. */
  readonly deadlineMs?: number;
}

/** An emulated guest on a busy host misses timer ticks, which the kernel otherwise takes for broken hardware. */
const KERNEL_WORDS = "console=ttyS0 quiet panic=-1 no_timer_check nowatchdog rcupdate.rcu_cpu_stall_suppress=1";
/** Guests boot in six seconds where nothing else runs, and ten times slower where much does. */
const PATIENCE_MS = 120_000;

/** What a test in the guest printed last: key=value pairs, all of them text. */
export type GuestResult = Readonly<Record<string, string>>;

/** A running QEMU with its serial console and its monitor. */
export class QemuGuest {
  readonly process: PeerProcess;
  readonly qmp: QmpClient;
  /** Where QEMU's test protocol is spoken. */
  readonly testSocket: string;

  private constructor(process: PeerProcess, qmp: QmpClient, testSocket: string) {
    this.process = process;
    this.qmp = qmp;
    this.testSocket = testSocket;
  }

  /** Starts QEMU and returns when its monitor answers; the guest may still be in its firmware. */
  static async start(scope: PeerScope, options: GuestOptions): Promise<QemuGuest> {
    const { name = "guest", deadlineMs = 2 * PATIENCE_MS } = options;
    const monitor = scope.path(`${name}.qmp`);
    const testSocket = scope.path(`${name}.qtest`);
    const process = scope.start(name, needed("qemu").path, argumentsOf(options, monitor, testSocket), deadlineMs);
    const qmp = await QmpClient.connect(monitor);
    scope.onClose(() => qmp.close());
    return new QemuGuest(process, qmp, testSocket);
  }

  /** All that came over the serial port. */
  get serial(): string {
    return this.process.stdout;
  }

  /** Waits until the console says something; throws at once when the kernel panics or QEMU ends. */
  says(pattern: RegExp, timeoutMs = PATIENCE_MS): Promise<RegExpExecArray> {
    const look = () => {
      const found = pattern.exec(this.serial) ?? undefined;
      if (found === undefined && /Kernel panic|Oops:|BUG: /.test(this.serial)) {
        throw new Error("the guest's kernel broke");
      }
      return found;
    };
    return this.process.until(look, timeoutMs, `the guest saying ${pattern}`);
  }

  /** Waits for the result of the test in the guest, and for its end. */
  async result(timeoutMs = PATIENCE_MS): Promise<GuestResult> {
    const [, line = ""] = await this.says(/^RESULT (.*?)\r?\n/m, timeoutMs);
    await this.process.until(() => this.process.ending, 30_000, "powering off");
    return pairsOf(line);
  }

  /** The counters that the test in the guest printed last; undefined before the first. */
  progress(): GuestResult | undefined {
    const line = [...this.serial.matchAll(/^PROGRESS (.*?)\r?\n/gm)].at(-1)?.[1];
    return line === undefined ? undefined : pairsOf(line);
  }

  /** Ends QEMU as its monitor does, so that it hangs up on its back ends in order. */
  async quit(): Promise<Ending> {
    await this.qmp.execute("quit").catch(() => {});
    return this.process.ended;
  }
}

function argumentsOf(options: GuestOptions, monitor: string, testSocket: string): string[] {
  const { test, disks = [], share, memoryMib = 256, belowFourGigMib, cpus = 1, incoming, extra = [] } = options;
  const hole = belowFourGigMib === undefined ? "" : `,max-ram-below-4g=${belowFourGigMib}M`;
  return [
    ...["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"],
    ...["-M", `q35,accel=${inject("peers").accel},memory-backend=mem${hole}`, "-cpu", "qemu64", "-smp", String(cpus)],
    // Shared, so that a back end can map it.
    ...["-m", `${memoryMib}M`, "-object", `memory-backend-memfd,id=mem,size=${memoryMib}M,share=on`],
    ...["-qmp", `unix:${monitor},server=on,wait=off`],
    ...["-qtest", `unix:${testSocket},server=on,wait=off`, "-qtest-log", "none"],
    ...(test === undefined ? [] : kernelArguments(test)),
    ...disks.flatMap(diskArguments),
    ...(share === undefined ? [] : shareArguments(share)),
    ...["-device", `isa-debug-exit,iobase=${DEBUG_EXIT_PORT},iosize=1`],
    ...(incoming ? ["-incoming", "defer"] : []),
    ...extra,
  ];
}

function kernelArguments(test: string): string[] {
  const words = `${KERNEL_WORDS} t=${test}`;
  return ["-kernel", neededKernel().image, "-initrd", inject("peers").guestImage, "-append", words];
}

function diskArguments({ socket, queues = 1, reconnectSeconds }: GuestDisk, index: number): string[] {
  const reconnect = reconnectSeconds === undefined ? "" : `,${reconnectOption(reconnectSeconds)}`;
  return [
    // Boot index 0 is the kernel's.
    ...["-chardev", `socket,id=disk${index},path=${socket}${reconnect}`],
    ...["-device", `vhost-user-blk-pci,chardev=disk${index},num-queues=${queues},bootindex=${index + 1}`],
  ];
}

/** QEMU 9.2 renamed the option. */
function reconnectOption(seconds: number): string {
  const [major = 0, minor = 0] = needed("qemu").version.split(".").map(Number);
  return major > 9 || (major === 9 && minor >= 2) ? `reconnect-ms=${seconds * 1000}` : `reconnect=${seconds}`;
}

function shareArguments(socket: string): string[] {
  return [
    ...["-chardev", `socket,id=share,path=${socket}`],
    ...["-device", "vhost-user-fs-pci,chardev=share,tag=share,queue-size=128"],
  ];
}

function pairsOf(line: string): GuestResult {
  return Object.fromEntries(line.split(" ").map((pair) => pair.split("=", 2)));
}

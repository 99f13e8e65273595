import { spawnSync } from "node:child_process";
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newcArchive } from "./newc-archive.js";
import type { FoundProgram, GuestKernel } from "./peer-programs.js";

/** What a probe boot came to. */
export interface ProbeBoot {
  /** Whether the guest's first program ran. */
  readonly reached: boolean;
  readonly seconds: number;
  /** Why not; empty when it did. */
  readonly why: string;
}

const KVM_DEVICE = "/dev/kvm";
const GREETING = "shadowvq: userspace reached";

/** Says whether this process may open /dev/kvm, which does not mean that a guest runs. */
export function kvmOpens(): boolean {
  try {
    accessSync(KVM_DEVICE, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Boots the guest kernel until its first program runs, or kills it after `timeoutMs`.
 *
 * Nothing less proves that KVM works: there are machines where it opens, makes virtual CPUs, runs the firmware, and
 * then never gets through a kernel.
 */
export function probeBoot(
  accel: "kvm" | "tcg",
  qemu: FoundProgram,
  kernel: GuestKernel,
  timeoutMs = 10_000,
): ProbeBoot {
  const folder = mkdtempSync(join(tmpdir(), "svq-probe-"));
  const started = process.hrtime.bigint();
  try {
    const initrd = join(folder, "initrd");
    writeFileSync(initrd, newcArchive([{ path: "init", mode: 0o100755, content: greetingProgram() }]));
    const { stdout, stderr, error, status } = spawnSync(
      qemu.path,
      [
        ...["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"],
        ...["-M", `q35,accel=${accel}`, "-cpu", "qemu64", "-m", "256"],
        ...["-kernel", kernel.image, "-initrd", initrd, "-append", "console=ttyS0 quiet panic=-1"],
      ],
      { encoding: "utf8", timeout: timeoutMs, killSignal: "SIGKILL", stdio: ["ignore", "pipe", "pipe"] },
    );
    const seconds = Number(process.hrtime.bigint() - started) / 1e9;
    const reached = (stdout ?? "").includes(GREETING);
    const late = (error as NodeJS.ErrnoException | undefined)?.code === "ETIMEDOUT";
    const said = (stderr ?? "").trim().split("\n").at(-1) || `QEMU ended with code ${status}`;
    return { reached, seconds, why: reached ? "" : late ? `no userspace within ${timeoutMs / 1000} s` : said };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The guest's first program, an x86-64 ELF file of one segment: it writes the greeting and reboots. */
function greetingProgram(): Buffer {
  const text = Buffer.from(`${GREETING}\n`);
  const code = Buffer.from([
    ...[0xb8, 1, 0, 0, 0], // mov $SYS_write, %eax
    ...[0xbf, 1, 0, 0, 0], // mov $1, %edi
    ...[0x48, 0x8d, 0x35, 31, 0, 0, 0], // lea text(%rip), %rsi: 31 bytes after this instruction
    ...[0xba, text.length, 0, 0, 0], // mov $length, %edx
    ...[0x0f, 0x05], // syscall
    ...[0xb8, 169, 0, 0, 0], // mov $SYS_reboot, %eax
    ...[0xbf, 0xad, 0xde, 0xe1, 0xfe], // mov $LINUX_REBOOT_MAGIC1, %edi
    ...[0xbe, 0x69, 0x19, 0x12, 0x28], // mov $LINUX_REBOOT_MAGIC2, %esi
    ...[0xba, 0x67, 0x45, 0x23, 0x01], // mov $LINUX_REBOOT_CMD_RESTART, %edx: with -no-reboot QEMU ends
    ...[0x0f, 0x05], // syscall
    ...[0xeb, 0xfe], // jmp .
  ]);
  const headerBytes = 64 + 56;
  const base = 0x400000;
  const file = Buffer.alloc(headerBytes + code.length + text.length);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  file.writeUInt16LE(2, 16); // e_type: ET_EXEC
  file.writeUInt16LE(62, 18); // e_machine: EM_X86_64
  file.writeUInt32LE(1, 20); // e_version
  file.writeUInt32LE(base + headerBytes, 24); // e_entry
  file.writeUInt32LE(64, 32); // e_phoff
  file.writeUInt16LE(64, 52); // e_ehsize
  file.writeUInt16LE(56, 54); // e_phentsize
  file.writeUInt16LE(1, 56); // e_phnum
  file.writeUInt32LE(1, 64); // p_type: PT_LOAD
  file.writeUInt32LE(5, 68); // p_flags: PF_R | PF_X
  file.writeUInt32LE(base, 80); // p_vaddr
  file.writeUInt32LE(base, 88); // p_paddr
  file.writeUInt32LE(file.length, 96); // p_filesz
  file.writeUInt32LE(file.length, 104); // p_memsz
  file.writeUInt32LE(0x1000, 112); // p_align
  file.set(code, headerBytes);
  file.set(text, headerBytes + code.length);
  return file;
}

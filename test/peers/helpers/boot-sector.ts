const SECTOR_BYTES = 512;
/** Large enough for the firmware to give it a geometry. */
const DISK_BYTES = 2 ** 20;
const ORIGIN = 0x7c00;
/** Where the second sector is read to. */
const SECOND = 0x7e00;

/** The I/O port of QEMU's isa-debug-exit in our guests. */
export const DEBUG_EXIT_PORT = 0xf4;
/** QEMU's exit code after the boot sector has ended: isa-debug-exit makes (value << 1) | 1 of what is written. */
export const BOOT_SECTOR_EXIT_CODE = (0x10 << 1) | 1;

/**
 * A disk of 1 MiB that boots: the first sector has the BIOS read the second, and prints both texts on the serial port.
 *
 * Texts are ASCII; together they show that firmware reads through whatever serves the disk. Throws RangeError when one
 * does not fit.
 */
export function bootDisk(first: string, second: string): Buffer {
  const disk = Buffer.alloc(DISK_BYTES);
  const code = bootCode();
  const texts = Buffer.from(`${first}\0`, "ascii");
  if (code.length + texts.length > SECTOR_BYTES - 2 || second.length >= SECTOR_BYTES) {
    throw new RangeError("a text does not fit into its sector");
  }
  disk.set(code, 0);
  disk.set(texts, code.length);
  disk.writeUInt16LE(0xaa55, SECTOR_BYTES - 2);
  disk.write(`${second}\0`, SECTOR_BYTES, "ascii");
  return disk;
}

/** 16-bit code; the first text follows it. */
function bootCode(): Buffer {
  const low = (value: number) => [value & 0xff, value >> 8];
  const code = (text: number) => [
    ...[0x31, 0xc0], // xor %ax, %ax
    ...[0x8e, 0xd8], // mov %ax, %ds
    ...[0x8e, 0xc0], // mov %ax, %es
    ...[0xb8, 0x01, 0x02], // mov $0x0201, %ax: read one sector; %dl still has the drive
    ...[0xb9, 0x02, 0x00], // mov $0x0002, %cx: cylinder 0, sector 2
    ...[0xb6, 0x00], // mov $0, %dh
    ...[0xbb, ...low(SECOND)], // mov $SECOND, %bx
    ...[0xcd, 0x13], // int $0x13
    ...[0x72, 0x0c], // jc end
    ...[0xbe, ...low(text)], // mov $text, %si
    ...[0xe8, 0x0d, 0x00], // call print
    ...[0xbe, ...low(SECOND)], // mov $SECOND, %si
    ...[0xe8, 0x07, 0x00], // call print
    ...[0xb0, 0x10], // end: mov $0x10, %al
    ...[0xe6, DEBUG_EXIT_PORT], // out %al, $port
    ...[0xf4], // hlt
    ...[0xeb, 0xfd], // jmp to the hlt
    ...[0xac], // print: lodsb
    ...[0x84, 0xc0], // test %al, %al
    ...[0x74, 0x08], // jz done
    ...[0xb4, 0x01], // mov $1, %ah: send a character
    ...[0x31, 0xd2], // xor %dx, %dx: first serial port
    ...[0xcd, 0x14], // int $0x14
    ...[0xeb, 0xf3], // jmp print
    ...[0xc3], // done: ret
  ];
  return Buffer.from(code(ORIGIN + code(0).length));
}

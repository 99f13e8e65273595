/** One file, or folder, of an archive. */
export interface ArchiveEntry {
  /** Path without a leading slash; the folders above it are entries of their own. */
  readonly path: string;
  /** Type and permissions as stat() has them: 0o100755 is a program, 0o040755 a folder. */
  readonly mode: number;
  /** Absent for a folder. */
  readonly content?: Uint8Array;
}

const TRAILER: ArchiveEntry = { path: "TRAILER!!!", mode: 0 };

/** Packs files into a cpio archive of the newc kind, which Linux unpacks as its first root file system. */
export function newcArchive(entries: readonly ArchiveEntry[]): Buffer {
  return Buffer.concat([...entries, TRAILER].flatMap((entry, index) => packed(entry, index + 1)));
}

/** Header, name and content; name and content each end on a multiple of four bytes. */
function packed({ path, mode, content = new Uint8Array() }: ArchiveEntry, inode: number): Uint8Array[] {
  const name = Buffer.from(`${path}\0`);
  const links = 1;
  const fields = [inode, mode, 0, 0, links, 0, content.length, 0, 0, 0, 0, name.length, 0];
  const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`);
  return [header, name, padding(header.length + name.length), content, padding(content.length)];
}

function padding(bytes: number): Uint8Array {
  return new Uint8Array(-bytes & 3);
}

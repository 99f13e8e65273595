import { listNonZeroByWord, type SharedMemory } from "./shared-memory.js";

/** Memory that passes every verb on: what stands between a role and its memory overrides the one it changes. */
export class ForwardingMemory implements SharedMemory {
  readonly byteLength: number;
  protected readonly inner: SharedMemory;

  constructor(inner: SharedMemory) {
    this.byteLength = inner.byteLength;
    this.inner = inner;
  }

  read16(offset: number): number {
    return this.inner.read16(offset);
  }

  read32(offset: number): number {
    return this.inner.read32(offset);
  }

  write16(offset: number, value: number): void {
    this.inner.write16(offset, value);
  }

  write32(offset: number, value: number): void {
    this.inner.write32(offset, value);
  }

  copyOut(offset: number, target: Uint8Array): void {
    this.inner.copyOut(offset, target);
  }

  copyIn(offset: number, source: Uint8Array): void {
    this.inner.copyIn(offset, source);
  }

  observe16(offset: number): number {
    return this.inner.observe16(offset);
  }

  publish16(offset: number, value: number): void {
    this.inner.publish16(offset, value);
  }

  setBits32(offset: number, bits: number): void {
    this.inner.setBits32(offset, bits);
  }

  takeBits32(offset: number): number {
    return this.inner.takeBits32(offset);
  }

  /** Word by word through this object's read32, so that whoever overrides that sees every look. */
  listNonZero32(offset: number, end: number, found: Int32Array): number {
    return listNonZeroByWord(this, offset, end, found);
  }

  fence(): void {
    this.inner.fence();
  }
}

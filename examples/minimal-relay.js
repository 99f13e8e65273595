/**
 * A correct shadow virtqueue, as small as it gets: copy it and make it yours.
 *
 * Two directions. Guest to device: take a chain of the guest's available ring, translate its addresses, write it into
 * the shadow ring. Device to guest: take an entry of the shadow used ring, mark what the device wrote, return the chain.
 *
 * Three rules carry the rest: each word of a peer is read once; nothing is remembered in shared bytes; a mark comes
 * after the bytes it stands for, and before anybody is told of them.
 */

// Bits of a descriptor's flags.
const NEXT = 1;
const WRITE = 2;
const INDIRECT = 4;
// Both rings: flags u16, index u16, entries.
const IDX = 2;
const ENTRIES = 4;
const CHAIN_BYTES_MAX = 2 ** 32;

/** @type {import("./relay-interface.js").CreateRelay} */
export const createRelay = (parts) => new MinimalRelay(parts);

const u16 = (value) => value & 0xffff;

/** Did the index pass the entry after which the peer wants to be told? (VIRTIO 1.3, 2.7.10) */
const passed = (event, now, before) => u16(now - event - 1) < u16(now - before);

export class MinimalRelay {
  constructor(parts) {
    this.parts = parts;
    // Next entry to take from the guest, and to give back to it.
    this.lastAvail = parts.start.lastAvailIdx;
    this.guestUsed = parts.start.usedIdx;
    // Next entry to give to the device, and to take back from it.
    this.shadowAvail = 0;
    this.lastUsed = 0;
    // Private books: free shadow descriptors; chains in flight, { head, slots, writable }, by their first descriptor.
    this.free = Array.from({ length: parts.shadow.num }, (_, index) => index);
    this.chains = new Map();
    this.heads = new Set();
    // The next chain waits in the guest's ring: for room, or, when it is to be refused, for those before it.
    this.holding = false;
    this.armed = true;
    // Heads that a relay before this one had in flight, and that are to be forwarded again.
    this.again = [];
    // Heads forwarded and returned, of which the other side was not told yet.
    this.forwarding = [];
    this.returning = [];
    Object.assign(this, parts.saved);
  }

  /** Everything but the parts: another relay goes on from it. */
  save() {
    const { parts: _, ...state } = this;
    return state;
  }

  /** In the place of a relay that died: nobody knows what of its work was marked, told and seen. */
  recover() {
    const { guest, record, markUsedEntries, markEventWord, callGuest } = this.parts;
    this.guestUsed = guest.usedMemory.observe16(guest.used + IDX);
    markUsedEntries(u16(this.guestUsed - guest.num), this.guestUsed);
    markEventWord();
    this.again = [...record.recover(this.guestUsed)];
    for (const head of this.again) {
      const walked = this.walk(head);
      if (typeof walked !== "string") this.markWritten(walked);
    }
    callGuest();
    // What the guest offered before is used or to be forwarded again: those stand in for the entries in between.
    this.lastAvail = this.guestUsed;
  }

  step() {
    if (this.armed) this.disarm();
    const returned = this.returnChains();
    return this.forwardChains() || returned;
  }

  /** Without EVENT_IDX: nobody needs to notify while we are looking anyway. */
  disarm() {
    const { guest, shadow, eventIdx, markEventWord } = this.parts;
    this.armed = false;
    if (eventIdx) return;
    shadow.availMemory.publish16(shadow.avail, 1);
    guest.usedMemory.publish16(guest.used, 1);
    markEventWord();
  }

  /** Ask, fence, look again: whoever sleeps without that order sleeps over work. */
  arm() {
    const { guest, shadow, eventIdx, markEventWord } = this.parts;
    this.armed = true;
    if (eventIdx) shadow.availMemory.publish16(shadow.avail + ENTRIES + 2 * shadow.num, this.lastUsed);
    else shadow.availMemory.publish16(shadow.avail, 0);
    shadow.availMemory.fence();
    if (this.usedWaiting() !== 0) return false;
    // No kick can help a chain that is held: only a return can.
    if (this.holding) return true;
    if (eventIdx) guest.usedMemory.publish16(guest.used + ENTRIES + 8 * guest.num, this.lastAvail);
    else guest.usedMemory.publish16(guest.used, 0);
    guest.usedMemory.fence();
    markEventWord();
    return this.availWaiting() === 0;
  }

  /** Entries that the guest has offered and we have not taken. */
  availWaiting() {
    const { guest, fault } = this.parts;
    const waiting = u16(guest.availMemory.observe16(guest.avail + IDX) - this.lastAvail);
    return waiting > guest.num ? fault("avail-idx-overrun") : waiting;
  }

  /** Entries that the device has used and we have not taken. */
  usedWaiting() {
    const { shadow, fault } = this.parts;
    const waiting = u16(shadow.usedMemory.observe16(shadow.used + IDX) - this.lastUsed);
    return waiting > this.chains.size ? fault("used-idx-overrun") : waiting;
  }

  // ---- guest to device

  forwardChains() {
    if (this.holding) return false;
    const before = this.shadowAvail;
    // Counted once: what the guest adds meanwhile is for the next step.
    for (let waiting = this.availWaiting(); waiting > 0; waiting--) {
      const head = this.nextHead();
      const walked = this.walk(head);
      if (typeof walked === "string") {
        const published = this.publishAvail(before);
        return this.refuse(head, walked) || published;
      }
      if (walked.pieces.length > this.free.length) {
        this.holding = true;
        break;
      }
      this.write(head, walked);
    }
    return this.publishAvail(before);
  }

  /** The guest's next head, read once. */
  nextHead() {
    if (this.again.length > 0) return this.again[0];
    const { guest } = this.parts;
    return guest.availMemory.read16(guest.avail + ENTRIES + 2 * (this.lastAvail & (guest.num - 1)));
  }

  /** Walks a chain and translates it; returns the name of what is wrong with it instead. */
  walk(head) {
    const { guest, shadow, indirect, translate, copyTable } = this.parts;
    if (head >= guest.num) return "head-out-of-range";
    if (this.heads.has(head)) return "head-outstanding";
    const walked = { pieces: [], writable: [] };
    let bytes = 0;
    let elements = 0;
    let table;
    let limit = guest.num;
    for (let index = head; ; ) {
      if (index >= limit) return "next-out-of-range";
      const { gpa, length, flags, next } = this.descriptor(table, index);
      if (flags & INDIRECT) {
        if (table !== undefined) return "indirect-nested";
        if (!indirect) return "indirect-not-negotiated";
        if (flags & NEXT) return "indirect-with-next";
        if (length === 0 || length % 16 !== 0) return "indirect-length";
        if (elements + length / 16 > guest.num) return "chain-too-long";
        table = copyTable(gpa, length);
        if (table === undefined) return "address-unmapped";
        limit = length / 16;
        index = 0;
        continue;
      }
      // Loops end here too.
      if (elements === guest.num) return "chain-too-long";
      const write = flags & WRITE;
      if (write === 0 && walked.writable.length > 0) return "readable-after-writable";
      elements += 1;
      const pieces = translate(gpa, length, write !== 0);
      if (typeof pieces === "string") return pieces;
      for (const piece of pieces) walked.pieces.push({ ...piece, write });
      if (walked.pieces.length > shadow.num) return "chain-never-fits";
      if (write !== 0) walked.writable.push({ gpa, bytes: length });
      bytes += length;
      if ((flags & NEXT) === 0) break;
      index = next;
    }
    if (walked.pieces.length === 0) return "chain-empty";
    return bytes > CHAIN_BYTES_MAX ? "chain-bytes-overflow" : walked;
  }

  /** A descriptor, each word read once: from the ring, or from our copy of an indirect table. */
  descriptor(table, index) {
    const { descMemory, desc } = this.parts.guest;
    const word = (at) =>
      table === undefined ? descMemory.read32(desc + 16 * index + at) >>> 0 : table.getUint32(16 * index + at, true);
    const gpa = word(0) + word(4) * 2 ** 32;
    const length = word(8);
    const last = word(12);
    return { gpa, length, flags: last & 0xffff, next: last >>> 16 };
  }

  /** Writes a chain into the shadow ring, and into the books; the device does not see it yet. */
  write(head, { pieces, writable }) {
    const { shadow } = this.parts;
    const slots = this.free.splice(0, pieces.length);
    pieces.forEach(({ iova, bytes, write }, i) => {
      const at = shadow.desc + 16 * slots[i];
      const next = slots[i + 1];
      shadow.descMemory.write32(at, iova);
      shadow.descMemory.write32(at + 4, Math.floor(iova / 2 ** 32));
      shadow.descMemory.write32(at + 8, bytes);
      shadow.descMemory.write16(at + 12, write | (next === undefined ? 0 : NEXT));
      shadow.descMemory.write16(at + 14, next ?? 0);
    });
    const first = slots[0];
    shadow.availMemory.write16(shadow.avail + ENTRIES + 2 * (this.shadowAvail & (shadow.num - 1)), first);
    this.chains.set(first, { head, slots, writable });
    this.heads.add(head);
    this.forwarding.push(head);
    this.shadowAvail = u16(this.shadowAvail + 1);
    this.took();
  }

  took() {
    this.again.shift();
    this.lastAvail = u16(this.lastAvail + 1);
  }

  publishAvail(before) {
    const { shadow, record, eventIdx, kickDevice } = this.parts;
    if (this.shadowAvail === before) return false;
    record?.forwarding(this.forwarding);
    this.forwarding = [];
    shadow.availMemory.publish16(shadow.avail + IDX, this.shadowAvail);
    shadow.availMemory.fence();
    const wish = shadow.usedMemory.observe16(shadow.used + (eventIdx ? ENTRIES + 8 * shadow.num : 0));
    if (eventIdx ? passed(wish, this.shadowAvail, before) : (wish & 1) === 0) kickDevice();
    return true;
  }

  /** Ends a chain that cannot be forwarded: the queue breaks, or the chain goes back unused, after those before it. */
  refuse(head, reason) {
    const { outcomeOf, fault } = this.parts;
    if (outcomeOf(reason) === "break-queue") fault(reason);
    this.holding = this.chains.size > 0;
    if (this.holding) return false;
    const before = this.guestUsed;
    this.took();
    this.use(head, 0);
    this.publishUsed(before);
    return true;
  }

  // ---- device to guest

  returnChains() {
    const { shadow, fault } = this.parts;
    const before = this.guestUsed;
    const waiting = this.usedWaiting();
    for (let i = 0; i < waiting; i++) {
      const at = shadow.used + ENTRIES + 8 * (this.lastUsed & (shadow.num - 1));
      const id = shadow.usedMemory.read32(at) >>> 0;
      const length = shadow.usedMemory.read32(at + 4) >>> 0;
      const chain = this.chains.get(id);
      if (chain === undefined) {
        this.publishUsed(before);
        fault("used-id-unknown");
      }
      this.chains.delete(id);
      this.heads.delete(chain.head);
      this.free.push(...chain.slots);
      this.lastUsed = u16(this.lastUsed + 1);
      this.markWritten(chain);
      this.use(chain.head, this.lengthFor(chain, length));
    }
    if (waiting > 0) this.holding = false;
    this.publishUsed(before);
    return waiting > 0;
  }

  /** The device may have written more than it says: all that it could write is marked. */
  markWritten({ writable }) {
    for (const { gpa, bytes } of writable) this.parts.mark(gpa, bytes);
  }

  /** What the guest is told: as much as the device says, and never more than there was room for. */
  lengthFor({ writable }, length) {
    const room = writable.reduce((sum, { bytes }) => sum + bytes, 0);
    return Math.min(room, length);
  }

  /** Writes an entry into the guest's used ring; the guest does not see it yet. */
  use(head, length) {
    const { guest } = this.parts;
    const at = guest.used + ENTRIES + 8 * (this.guestUsed & (guest.num - 1));
    guest.usedMemory.write32(at, head);
    guest.usedMemory.write32(at + 4, length);
    this.returning.push(head);
    this.guestUsed = u16(this.guestUsed + 1);
  }

  publishUsed(before) {
    const { guest, record, eventIdx, callGuest, markUsedEntries } = this.parts;
    if (this.guestUsed === before) return;
    record?.returning(this.returning);
    guest.usedMemory.publish16(guest.used + IDX, this.guestUsed);
    record?.returned(this.returning, this.guestUsed);
    this.returning = [];
    guest.usedMemory.fence();
    markUsedEntries(before, this.guestUsed);
    const wish = guest.availMemory.observe16(guest.avail + (eventIdx ? ENTRIES + 2 * guest.num : 0));
    if (eventIdx ? passed(wish, this.guestUsed, before) : (wish & 1) === 0) callGuest();
  }

  // ---- the end

  abandon() {
    for (const chain of this.chains.values()) this.markWritten(chain);
  }

  accounting() {
    let inFlight = 0;
    for (const { slots } of this.chains.values()) inFlight += slots.length;
    return { size: this.parts.shadow.num, free: this.free.length, inFlight };
  }
}

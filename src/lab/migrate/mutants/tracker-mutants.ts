import type { Mutant } from "../../../validate/mutants/mutant.js";

const COPIED_THEN_CLEARED = `const copied = session.bitmap.slice();
        await sendRound(session);
        session.sync();
        for (const [i, word] of copied.entries())
            session.bitmap[i] &= ~word;`;
const TEST_FIRST = `const bits = bitsBetween(from, to), at = this.offset + word * 4;
            if ((bits & ~this.memory.read32(at)) !== 0)
                this.memory.setBits32(at, bits);`;

/** Ways in which a tracker can be wrong: M1 to M3, M5 to M10 and M18 to M21 of the threads, as patches of the build. */
export const TRACKER_MUTANTS: readonly Mutant[] = [
  {
    name: "marks-check-first",
    row: "M1",
    what: "tests a mark before it sets it, while the page waits in the store buffer",
    patches: [
      {
        file: "dirty/dirty-log.js",
        find: "this.memory.setBits32(this.offset + word * 4, bitsBetween(from, to));",
        replace: TEST_FIRST,
      },
    ],
  },
  {
    name: "copied-then-cleared",
    row: "M2",
    what: "takes for clean what it has copied, also where it was written meanwhile",
    tries: ["vhost-log"],
    patches: [
      {
        file: "migration/precopy.js",
        find: "await sendRound(session);\n        session.sync();",
        replace: COPIED_THEN_CLEARED,
      },
    ],
  },
  {
    name: "no-iotlb-flush",
    row: "M3",
    what: "clears dirty bits and leaves the translations that were cached with them",
    tries: ["iommu-4k"],
    patches: [{ file: "vfio/hwpt.js", find: "cleared > 0", replace: "cleared > Number.MAX_VALUE" }],
  },
  {
    name: "no-tlb-flush",
    row: "M3",
    what: "protects pages and leaves the vCPUs' translations",
    tries: ["kvm-bitmap"],
    patches: [{ file: "dirty/kvm-vm.js", find: "if (pages > 0)\n            this.#flushTlbs();", replace: "" }],
  },
  {
    name: "no-kick-of-vcpus",
    row: "M5",
    what: "harvests the rings and leaves what the vCPUs' own buffers hold",
    tries: ["kvm-ring"],
    patches: [
      {
        file: "dirty/kvm-ring-tracker.js",
        find: "this.#counters.harvests += 1;\n        this.#vm.kickVcpus();",
        replace: "this.#counters.harvests += 1;",
      },
    ],
  },
  {
    name: "log-one-page-a-write",
    row: "M6",
    what: "goes through the pages of a write with the wrong stride",
    tries: ["vhost-log"],
    patches: [
      {
        file: "dirty/dirty-log.js",
        find: "const last = ((address + bytes - 1) / PAGE_BYTES) | 0;",
        replace: "const last = first;",
      },
    ],
  },
  {
    name: "unmapped-then-asked",
    row: "M7",
    what: "unmaps before it asks an IOMMU, whose bits die with the entry",
    patches: [
      {
        file: "vfio/viommu-tracker.js",
        find: 'this.#source.kind === "iommu"',
        replace: 'this.#source.kind !== "iommu"',
      },
    ],
  },
  {
    name: "or-instead-of-and",
    row: "M8",
    what: "is content when some writer is tracked",
    patches: [
      {
        file: "dirty/tracker-set.js",
        find: 'policy === "or" && this.entries.length > 0',
        replace: "this.entries.length > 0",
      },
    ],
  },
  {
    name: "one-domain-is-enough",
    row: "M8",
    what: "chooses an IOMMU of which one domain tracks and one does not",
    patches: [
      { file: "vfio/tracking-choice.js", find: "domainsTrack.every(Boolean)", replace: "domainsTrack.some(Boolean)" },
    ],
  },
  {
    name: "report-clears",
    row: "M9",
    what: "clears the caller's bitmap before it reports",
    patches: [
      {
        file: "vfio/logging-device.js",
        find: "const bitmap = new IovaBitmap(",
        replace: "bits.fill(0); const bitmap = new IovaBitmap(",
      },
    ],
  },
  {
    name: "get-ors",
    row: "M10",
    what: "adds to what is in the caller's bitmap, where type1 overwrites",
    patches: [
      {
        file: "vfio/type1-container.js",
        find: "bits.set(words);",
        replace: "for (const [i, word] of words.entries()) bits[i] |= word;",
      },
    ],
  },
  {
    name: "last-message-kept",
    row: "M18",
    what: "keeps the last message of a pulled queue until it is full",
    tries: ["device-queue"],
    patches: [
      {
        file: "vfio/queue-backend.js",
        find: "this.#open.length > 0",
        replace: "this.#open.length >= MESSAGE_ENTRIES",
      },
    ],
  },
  {
    name: "last-reports-kept",
    row: "M18",
    what: "keeps what a report queue's last buffer holds when all have stopped",
    tries: ["vq-push"],
    patches: [
      {
        file: "vfio/reported-tracker.js",
        find: "settle() {\n        this.device.flush();",
        replace: "settle() {",
      },
    ],
  },
  {
    name: "window-forgets",
    row: "M19",
    what: "forgets what of an entry lies behind the end of a window",
    patches: [{ file: "vfio/iova-bitmap.js", find: "end > this.#endBit", replace: "end > Number.MAX_VALUE" }],
  },
  {
    name: "error-of-tracker-ignored",
    row: "M20",
    what: "takes a tracker that answers EIO for one with nothing to report",
    patches: [{ file: "dirty/tracker-set.js", find: "result >= 0", replace: "result >= -99999" }],
  },
  {
    name: "acknowledges-the-word",
    row: "M21",
    what: "acknowledges all of a word of which a report has shown a part",
    patches: [{ file: "vfio/seqack-backend.js", find: "^= delivered", replace: "^= dirty" }],
  },
];

/** Who judges them: a built file below the sources. */
export const TRACKER_JUDGE = "lab/migrate/mutants/tracker-mutant.worker.js";

import { VRING_DESC_F_NEXT, VRING_DESC_F_WRITE } from "../../src/layout/virtio-ring.js";
import { PAGE_BYTES } from "../../src/memory/address.js";
import { vringBytes, vringOffsets } from "../../src/ring/vring-areas.js";
import { Random } from "./random.js";

/** What a relay kernel is to relay. */
export interface RelayCase {
  readonly queueSize: number;
  /** Descriptors of a chain: one the device writes, or a header it reads, data and a status byte it writes. */
  readonly chain: number;
  readonly mappings: number;
  /** Chains between two publications; cut down to what fits the queue. */
  readonly batch: number;
  readonly log: boolean;
  readonly queues: number;
  /** Where the buffers are: anywhere in any mapping, or page after page. */
  readonly buffers: "random" | "contiguous";
}

/** Columns of the header, of which `twin/relay.c` has the same list. */
export const RELAY_HEADER = {
  queueSize: 0,
  chain: 1,
  mappings: 2,
  batch: 3,
  log: 4,
  queues: 5,
  /** Descriptor tables to go through, one for each round. */
  tables: 6,
  /** Offsets of the avail and used ring in a queue's part of ring memory, and the bytes of such a part. */
  avail: 7,
  used: 8,
  stride: 9,
  logBytes: 10,
  /** High half of the first IOVA. */
  iovaHigh: 11,
  /** Chains of one round: as many as the table holds, down to a power of two. */
  chains: 12,
} as const;
/** Words of the header. */
export const RELAY_HEADER_WORDS = 16;
/** Words of a mapping: first page, pages, page of IOVA, rights. */
export const MAPPING_WORDS = 4;
/** Words of a descriptor. */
export const DESC_WORDS = 4;

/** Buffers start above the pages in which the rings are. */
const FIRST_PAGE = 32_768;
/** Guest memory that the mappings cover together, so that their number changes and nothing else. */
const SPAN_PAGES = 1_600_000;
/** Descriptors to go through before the first comes again: more than a branch predictor remembers. */
const POOL_DESCRIPTORS = 16_384;
const HEADER_BYTES = 16;
const READ_WRITE = 3;

/** Records the input of a relay kernel: header, mappings, descriptor tables; all int32. */
export function recordRelay(relay: RelayCase): Int32Array {
  const random = new Random(relay.mappings * 131 + relay.chain);
  const chains = 2 ** Math.floor(Math.log2(relay.queueSize / relay.chain));
  const tables = Math.max(4, Math.ceil(POOL_DESCRIPTORS / relay.queueSize));
  const mappings = recordMappings(relay.mappings, random);
  const tableWords = relay.queueSize * DESC_WORDS;
  const words = new Int32Array(RELAY_HEADER_WORDS + mappings.length + tables * tableWords);
  const lastPage = mappings.at(-4)! + mappings.at(-3)!;
  const { avail, used } = vringOffsets(relay.queueSize, 0);
  const header: Record<keyof typeof RELAY_HEADER, number> = {
    queueSize: relay.queueSize,
    chain: relay.chain,
    mappings: relay.mappings,
    batch: Math.min(relay.batch, chains),
    log: relay.log ? 1 : 0,
    queues: relay.queues,
    tables,
    avail,
    used,
    stride: Math.ceil(vringBytes(relay.queueSize) / PAGE_BYTES) * PAGE_BYTES,
    logBytes: Math.ceil((lastPage + 1) / 64) * 8,
    iovaHigh: 1,
    chains,
  };
  for (const [name, column] of Object.entries(RELAY_HEADER)) words[column] = header[name as keyof typeof RELAY_HEADER];
  words.set(mappings, RELAY_HEADER_WORDS);
  for (let table = 0; table < tables; table++) {
    const at = RELAY_HEADER_WORDS + mappings.length + table * tableWords;
    fillTable(words.subarray(at, at + tableWords), relay, chains, (bytes, index) =>
      relay.buffers === "random"
        ? anywhere(mappings, bytes, random)
        : { page: FIRST_PAGE + table * relay.queueSize + index, offset: 0 },
    );
  }
  return words;
}

/** Uneven mappings, some next to each other, with IOVAs in another order. */
function recordMappings(count: number, random: Random): Int32Array {
  const mean = Math.max(16, Math.floor(SPAN_PAGES / count));
  const rows = new Int32Array(count * MAPPING_WORDS);
  let page = FIRST_PAGE;
  for (let row = 0; row < count; row++) {
    const pages = count === 1 ? mean : 1 + random.below(2 * mean - 1);
    rows.set([page, pages, 0, READ_WRITE], row * MAPPING_WORDS);
    page += pages + random.below(2) * random.below(4);
  }
  let iovaPage = 1;
  for (const row of random.order(count)) {
    rows[row * MAPPING_WORDS + 2] = iovaPage;
    iovaPage += rows[row * MAPPING_WORDS + 1]!;
  }
  return rows;
}

function fillTable(
  table: Int32Array,
  { chain }: RelayCase,
  chains: number,
  place: (bytes: number, index: number) => { page: number; offset: number },
): void {
  for (let index = 0; index < chains * chain; index++) {
    const position = index % chain;
    const header = chain > 1 && position === 0;
    const status = chain > 2 && position === chain - 1;
    const bytes = header ? HEADER_BYTES : status ? 1 : PAGE_BYTES;
    const { page, offset } = place(bytes, index);
    const flags = (position + 1 < chain ? VRING_DESC_F_NEXT : 0) | (header ? 0 : VRING_DESC_F_WRITE);
    const next = position + 1 < chain ? index + 1 : 0;
    table.set([(page << 12) | offset, page >>> 20, bytes, flags | (next << 16)], index * DESC_WORDS);
  }
}

/** A page of its own for what fills one, else a place within a page. */
function anywhere(mappings: Int32Array, bytes: number, random: Random): { page: number; offset: number } {
  const row = random.below(mappings.length / MAPPING_WORDS) * MAPPING_WORDS;
  const page = mappings[row]! + random.below(mappings[row + 1]!);
  return { page, offset: bytes === PAGE_BYTES ? 0 : random.below((PAGE_BYTES - bytes) / 16) * 16 };
}

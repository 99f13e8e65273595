import { GpaMap, type GpaMapping } from "../../src/iova/gpa-map.js";
import { type Gpa, type Iova, PAGE_BYTES } from "../../src/memory/address.js";
import { MAPPING_WORDS, RELAY_HEADER, RELAY_HEADER_WORDS } from "../inputs/relay-input.js";
import { check } from "./kernel.js";

/** The mappings of a recorded relay input, all added at once. */
export function recordedMap(input: Int32Array): GpaMap {
  const map = new GpaMap(input[RELAY_HEADER.iovaHigh]! * 2 ** 32);
  const mappings: GpaMapping[] = [];
  for (let row = 0; row < input[RELAY_HEADER.mappings]!; row++) {
    const at = RELAY_HEADER_WORDS + row * MAPPING_WORDS;
    mappings.push({
      gpa: (input[at]! * PAGE_BYTES) as Gpa,
      bytes: input[at + 1]! * PAGE_BYTES,
      iova: (map.iovaBase + input[at + 2]! * PAGE_BYTES) as Iova,
      perm: input[at + 3]!,
    });
  }
  check(map.addAll(mappings), "the recorded mappings are disjoint");
  return map;
}

import type { TrackerRow } from "./row.js";
import { BASIC_ROWS } from "./rows/basic-rows.js";
import { CONTROL_ROWS } from "./rows/control-rows.js";
import { DEVICE_ROWS } from "./rows/device-rows.js";
import { IOMMU_ROWS } from "./rows/iommu-rows.js";
import { KVM_ROWS } from "./rows/kvm-rows.js";
import { SVQ_ROWS } from "./rows/svq-rows.js";
import { TYPE1_ROWS } from "./rows/type1-rows.js";
import { VQ_ROWS } from "./rows/vq-rows.js";

/** Every row of the comparison by its name, in the order of the table. */
export const TRACKER_ROWS: ReadonlyMap<string, TrackerRow> = new Map(
  [
    ...BASIC_ROWS,
    ...SVQ_ROWS,
    ...DEVICE_ROWS,
    ...TYPE1_ROWS,
    ...IOMMU_ROWS,
    ...KVM_ROWS,
    ...VQ_ROWS,
    ...CONTROL_ROWS,
  ].map((row) => [row.name, row]),
);

import type { DeviceModel } from "./device-model.js";

/** Completes every request untouched: what is left is the cost of the rings. */
export class NullDevice implements DeviceModel {
  readonly name = "null";
  readonly features = 0n;

  serve(): number {
    return 0;
  }

  close(): void {}
}

import { VIRTIO_NET_HDR_V1 } from "../layout/virtio-net.js";
import type { DeviceModel } from "./device-model.js";
import type { MappedChain } from "./mapped-chain.js";

/** Largest packet it echoes, header not counted: a GSO packet. */
export const NET_PACKET_BYTES_MAX = 65_535;

/** Echoes each packet: header and payload of the readable part come back in the writable part. */
export class NetDevice implements DeviceModel {
  readonly name = "net";
  readonly features = 0n;
  readonly #packet = new Uint8Array(VIRTIO_NET_HDR_V1.size + NET_PACKET_BYTES_MAX);

  serve(request: MappedChain): number {
    const packet = this.#packet.subarray(0, request.read(0, this.#packet));
    return request.write(0, packet);
  }

  close(): void {}
}

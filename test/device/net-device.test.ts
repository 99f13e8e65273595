import { describe, expect, test } from "vitest";
import { NET_PACKET_BYTES_MAX, NetDevice } from "../../src/device/net-device.js";
import { NullDevice } from "../../src/device/null-device.js";
import { bytesOf, HandRequest } from "../helpers/hand-request.js";

describe("a net device", () => {
  const device = new NetDevice();

  test("echoes a packet, however the two parts are cut", () => {
    for (const bytes of [1, 12, 13, 76, 1526, 12 + NET_PACKET_BYTES_MAX]) {
      for (const border of [1, 11, 12, 13, bytes >>> 1, bytes - 1].filter((at) => at > 0 && at < bytes)) {
        const packet = bytesOf(bytes, border);
        const request = new HandRequest(packet, [border, bytes - border], [bytes - border, border]);
        expect(device.serve(request.chain())).toBe(bytes);
        expect(Buffer.compare(request.written(), packet)).toBe(0);
      }
    }
  });

  test("gives back as much as there is room for, and says how much", () => {
    const packet = bytesOf(100, 1);
    const short = new HandRequest(packet, [100], [40]);
    expect(device.serve(short.chain())).toBe(40);
    expect(Buffer.compare(short.written(), packet.subarray(0, 40))).toBe(0);
    const long = new HandRequest(packet, [100], [100, 50]);
    expect(device.serve(long.chain())).toBe(100);
    expect(
      long
        .written()
        .subarray(100)
        .every((byte) => byte === HandRequest.UNTOUCHED),
    ).toBe(true);
    expect(device.serve(new HandRequest(packet, [100], []).chain())).toBe(0);
  });

  test("keeps to the largest packet", () => {
    const packet = bytesOf(NET_PACKET_BYTES_MAX + 100, 2);
    const request = new HandRequest(packet, [packet.length], [packet.length]);
    expect(device.serve(request.chain())).toBe(NET_PACKET_BYTES_MAX + 12);
  });

  test("does not keep bytes of the packet before", () => {
    device.serve(new HandRequest(bytesOf(500, 5), [500], [500]).chain());
    const request = new HandRequest(bytesOf(10, 6), [10], [500]);
    expect(device.serve(request.chain())).toBe(10);
    expect(
      request
        .written()
        .subarray(10)
        .every((byte) => byte === HandRequest.UNTOUCHED),
    ).toBe(true);
  });
});

test("a null device touches nothing and says so", () => {
  const request = new HandRequest(bytesOf(64, 1), [64], [64]);
  expect(new NullDevice().serve()).toBe(0);
  expect(request.written().every((byte) => byte === HandRequest.UNTOUCHED)).toBe(true);
});

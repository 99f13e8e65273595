import { expect, it } from "vitest";
import { encodeMessage, MessageReader } from "../../src/vhost-user/codec.js";

it("a message goes through in one piece", () => {
  const reader = new MessageReader<number>();
  const { messages, fault } = reader.read(encodeMessage(12, 8, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0)), [7]);
  expect(fault).toBeUndefined();
  expect(messages).toEqual([{ request: 12, flags: 9, payload: Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0), fds: [7] }]);
});

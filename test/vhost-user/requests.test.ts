import { describe, expect, it } from "vitest";
import * as vu from "../../src/layout/vhost-user.js";
import { checkMessage } from "../../src/vhost-user/check-message.js";
import { MessageReader } from "../../src/vhost-user/codec.js";
import { MESSAGE_RULES, type MessageRule, messageRule, requestName } from "../../src/vhost-user/requests.js";
import { agreedSession, bytesOf, sampleOf } from "./samples.js";

const ROWS = MESSAGE_RULES.map((rule): [string, MessageRule] => [rule.name, rule]);

describe("the table of messages", () => {
  it("has 43 requests of the front end and 8 of the back end, each number once and without a gap", () => {
    const numbers = (channel: string) => MESSAGE_RULES.filter((row) => row.channel === channel).map((r) => r.request);
    expect(numbers("front-end")).toEqual(Array.from({ length: 43 }, (_, i) => i + 1));
    expect(numbers("back-end")).toEqual(Array.from({ length: 8 }, (_, i) => i + 1));
  });

  it("finds a row by number and channel, and none for 0, 44 or 2^32 - 1", () => {
    expect(messageRule(3)?.name).toBe("VHOST_USER_SET_OWNER");
    expect(messageRule(3, "back-end")?.name).toBe("VHOST_USER_BACKEND_VRING_HOST_NOTIFIER_MSG");
    expect([0, 44, 0xffff_ffff].map((request) => messageRule(request))).toEqual([undefined, undefined, undefined]);
    expect([requestName(1), requestName(99)]).toEqual(["VHOST_USER_GET_FEATURES", "request 99"]);
  });

  it("asks for no more descriptors than a message may carry, and every range is one", () => {
    for (const { sizes, fds, name, body } of MESSAGE_RULES) {
      for (const range of [sizes, fds, ...(body ? [body.sizes, body.fds] : [])]) {
        expect(range.min, name).toBeLessThanOrEqual(range.max);
      }
      expect(fds.max, name).toBeLessThanOrEqual(vu.VHOST_USER_MAX_FDS);
    }
  });

  it("has a body for exactly the replies that come unasked", () => {
    for (const { reply, body, name } of MESSAGE_RULES) expect(body !== undefined, name).toBe(reply !== "if-asked");
  });
});

describe.each(ROWS)("%s", (_, rule) => {
  const message = sampleOf(rule);

  it("goes through the codec unchanged, cut at every byte", () => {
    const bytes = bytesOf(message);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const reader = new MessageReader<number>();
      const early = reader.read(bytes.subarray(0, cut), cut > 0 ? message.fds : []);
      const late = reader.read(bytes.subarray(cut), cut > 0 ? [] : message.fds);
      expect(early.fault ?? late.fault).toBeUndefined();
      expect([...early.messages, ...late.messages]).toEqual([message]);
      expect(reader.takeFds()).toEqual([]);
    }
  });

  it("is legal where all is agreed", () => {
    expect(checkMessage(message, agreedSession(), rule.channel)).toBeUndefined();
  });

  it("is refused with a byte too many, and with fewer than its least", () => {
    const reason = (bytes: number) =>
      checkMessage({ ...message, payload: new Uint8Array(bytes) }, agreedSession(), rule.channel)?.reason;
    if (rule.sizes.max < 4096) expect(reason(rule.sizes.max + 1)).toBe("size-mismatch");
    if (rule.sizes.min > 0) expect(reason(rule.sizes.min - 1)).toBe("size-mismatch");
  });

  it("is refused with every other number of descriptors", () => {
    for (let count = 0; count <= vu.VHOST_USER_MAX_FDS; count++) {
      const fds = Array.from({ length: count }, (_, i) => i);
      const fault = checkMessage({ ...message, fds }, agreedSession(), rule.channel);
      const legal = count === message.fds.length || (rule.payload !== "vringFile" && rule.payload !== "memTable");
      const within = count >= rule.fds.min && count <= rule.fds.max;
      expect(fault?.reason, `${count}`).toBe(legal && within ? undefined : "fd-count");
    }
  });

  it("is refused as a reply", () => {
    const fault = checkMessage({ ...message, flags: 5 }, agreedSession(), rule.channel);
    expect(fault?.reason).toBe("reply-in-request");
  });

  it("needs its protocol feature, if it has one", () => {
    const session = agreedSession();
    if (rule.gate === "offered") session.protocolFeaturesOffered = 0n;
    else session.protocolFeaturesAcked = 0n;
    const reason = checkMessage(message, session, rule.channel)?.reason;
    if (rule.protocolFeature !== undefined) expect(reason).toBe("not-negotiated");
    else expect(reason).toBeUndefined();
  });
});

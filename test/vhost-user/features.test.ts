import { describe, expect, it } from "vitest";
import { VHOST_F_LOG_ALL } from "../../src/layout/vhost.js";
import * as vu from "../../src/layout/vhost-user.js";
import { featureBit } from "../../src/layout/virtio-config.js";
import { ConfigError } from "../../src/memory/config-error.js";
import {
  FEATURE_MASK_NAMES,
  MASKED_PROTOCOL_FEATURES,
  OWN_FEATURES,
  OWN_PROTOCOL_FEATURES,
  offeredProtocolFeatures,
  PASSED_PROTOCOL_FEATURES,
  parseFeatureMask,
  usedProtocolFeatures,
} from "../../src/vhost-user/features.js";

const ALL = (1n << 20n) - 1n;
const has = (set: bigint, bit: number) => (set & featureBit(bit)) !== 0n;

describe("the three sets of protocol features", () => {
  it("hold each of the 20 once", () => {
    const masked = MASKED_PROTOCOL_FEATURES.reduce((set, { bit }) => set | featureBit(bit), 0n);
    expect(masked | PASSED_PROTOCOL_FEATURES | OWN_PROTOCOL_FEATURES).toBe(ALL);
    expect(masked & PASSED_PROTOCOL_FEATURES).toBe(0n);
    expect((masked | PASSED_PROTOCOL_FEATURES) & OWN_PROTOCOL_FEATURES).toBe(0n);
  });
});

describe("offeredProtocolFeatures()", () => {
  it("offers the log, replies and slots of a back end that has nothing, and nothing else", () => {
    expect(offeredProtocolFeatures(0n)).toEqual({ offered: OWN_PROTOCOL_FEATURES, masked: [] });
  });

  it("masks of a back end that has all what has a row, and names it", () => {
    const { offered, masked } = offeredProtocolFeatures(ALL);
    expect(masked).toEqual(MASKED_PROTOCOL_FEATURES);
    for (const { bit, name } of masked) expect(has(offered, bit), name).toBe(false);
    expect(has(offered, vu.VHOST_USER_PROTOCOL_F_CONFIG)).toBe(true);
  });

  it("passes no bit on that has no name", () => {
    expect(offeredProtocolFeatures(1n << 40n).offered).toBe(OWN_PROTOCOL_FEATURES);
  });
});

describe("usedProtocolFeatures()", () => {
  it("acknowledges to the back end what the front end took, and what the relay needs itself, if it is offered", () => {
    const used = usedProtocolFeatures(ALL, featureBit(vu.VHOST_USER_PROTOCOL_F_CONFIG));
    expect(has(used, vu.VHOST_USER_PROTOCOL_F_CONFIG)).toBe(true);
    expect(has(used, vu.VHOST_USER_PROTOCOL_F_REPLY_ACK)).toBe(true);
    expect(has(used, vu.VHOST_USER_PROTOCOL_F_STATUS)).toBe(false);
    expect(has(used, vu.VHOST_USER_PROTOCOL_F_LOG_SHMFD)).toBe(false);
    expect(usedProtocolFeatures(0n, ALL)).toBe(0n);
  });
});

describe("OWN_FEATURES", () => {
  it("has the log and protocol features", () => {
    expect(OWN_FEATURES).toBe(featureBit(VHOST_F_LOG_ALL) | featureBit(vu.VHOST_USER_F_PROTOCOL_FEATURES));
  });
});

describe("parseFeatureMask()", () => {
  it("reads features and protocol features from one list", () => {
    expect(parseFeatureMask("log_all,log_shmfd")).toEqual({ features: 1n << 26n, protocolFeatures: 2n });
    expect(parseFeatureMask(" LOG_ALL , protocol_features,")).toEqual({
      features: (1n << 26n) | (1n << 30n),
      protocolFeatures: 0n,
    });
    expect(parseFeatureMask("")).toEqual({ features: 0n, protocolFeatures: 0n });
    expect(parseFeatureMask(FEATURE_MASK_NAMES.join(",")).protocolFeatures).toBe(ALL);
  });

  it("refuses a name that is not there, and lists those that are", () => {
    const parse = () => parseFeatureMask("log_all,logshm");
    expect(parse).toThrow(ConfigError);
    expect(parse).toThrow(/^--mask-backend-features: no feature is named "logshm"; there are log_all, .*device_state$/);
    expect(() => parseFeatureMask("f", "--hide")).toThrow(/^--hide: /);
  });
});

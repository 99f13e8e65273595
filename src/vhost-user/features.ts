import { VHOST_F_LOG_ALL } from "../layout/vhost.js";
import * as vu from "../layout/vhost-user.js";
import { featureBit } from "../layout/virtio-config.js";
import { ConfigError } from "../memory/config-error.js";

/** The constants of the protocol by their names. */
const NAMED = { ...vu };

/** A bit that the relay does not pass on from the back end to the front end, and why. */
export interface MaskedFeature {
  readonly bit: number;
  readonly name: string;
  readonly why: string;
}

/** Protocol features of the back end that the front end does not get to see. */
export const MASKED_PROTOCOL_FEATURES: readonly MaskedFeature[] = [
  masked("BACKEND_REQ", "the relay carries no requests from the back end; changes of configuration are not announced"),
  masked("CROSS_ENDIAN", "the relay shadows little-endian queues"),
  masked("CRYPTO_SESSION", "the relay does not read crypto sessions"),
  masked("PAGEFAULT", "the relay touches guest memory itself and cannot wait for pages"),
  masked("BACKEND_SEND_FD", "it needs BACKEND_REQ"),
  masked("HOST_NOTIFIER", "a guest that rings the device directly goes past the shadow queue"),
  masked("INFLIGHT_SHMFD", "the back end's record is of shadow queues, which the front end does not know"),
  masked("INBAND_NOTIFICATIONS", "kicks and calls of the relay are eventfds"),
  masked("XEN_MMAP", "the relay maps files, not grants"),
  masked("SHARED_OBJECT", "it needs BACKEND_REQ"),
  masked("DEVICE_STATE", "the back end's state refers to shadow queues, which the other side does not have"),
];

/** Protocol features that are passed on if the back end has them. */
export const PASSED_PROTOCOL_FEATURES: bigint = bits("MQ", "RARP", "NET_MTU", "CONFIG", "RESET_DEVICE", "STATUS");

/** Protocol features that the relay offers whatever the back end has: it carries them out itself. */
export const OWN_PROTOCOL_FEATURES: bigint = bits("LOG_SHMFD", "REPLY_ACK", "CONFIGURE_MEM_SLOTS");

/** Features that the relay offers whatever the back end has: it marks the dirty log itself. */
export const OWN_FEATURES: bigint = featureBit(VHOST_F_LOG_ALL) | featureBit(vu.VHOST_USER_F_PROTOCOL_FEATURES);

/** What the front end is offered of the protocol, and what of the back end's offer was masked. */
export interface ProtocolOffer {
  readonly offered: bigint;
  readonly masked: readonly MaskedFeature[];
}

/** The protocol features for the front end, from those of the back end; bits without a name are masked too. */
export function offeredProtocolFeatures(backEnd: bigint): ProtocolOffer {
  const offered = (backEnd & PASSED_PROTOCOL_FEATURES) | OWN_PROTOCOL_FEATURES;
  return { offered, masked: MASKED_PROTOCOL_FEATURES.filter(({ bit }) => (backEnd & featureBit(bit)) !== 0n) };
}

/** The protocol features that the relay acknowledges to the back end, of those it offers. */
export function usedProtocolFeatures(backEnd: bigint, frontEndAcked: bigint): bigint {
  const passed = frontEndAcked & PASSED_PROTOCOL_FEATURES;
  return backEnd & (passed | bits("MQ", "REPLY_ACK", "CONFIGURE_MEM_SLOTS"));
}

/** What to hide of the back end, for tests and comparisons. */
export interface FeatureMask {
  readonly features: bigint;
  readonly protocolFeatures: bigint;
}

/**
 * Reads a list such as "log_all,log_shmfd": protocol features by their names, and "log_all", "protocol_features".
 *
 * Names are separated by commas, in either case. Throws ConfigError, with all names, for one that is not there.
 */
export function parseFeatureMask(list: string, option = "--mask-backend-features"): FeatureMask {
  let features = 0n;
  let protocolFeatures = 0n;
  for (const name of list.split(",").map((part) => part.trim().toLowerCase())) {
    if (name === "") continue;
    const feature = FEATURE_NAMES.get(name);
    const protocolFeature = PROTOCOL_NAMES.get(name);
    if (feature !== undefined) features |= featureBit(feature);
    else if (protocolFeature !== undefined) protocolFeatures |= featureBit(protocolFeature);
    else throw new ConfigError(`${option}: no feature is named "${name}"; there are ${FEATURE_MASK_NAMES.join(", ")}`);
  }
  return { features, protocolFeatures };
}

const PROTOCOL_PREFIX = "VHOST_USER_PROTOCOL_F_";
type ProtocolName = keyof typeof vu extends infer K
  ? K extends `${typeof PROTOCOL_PREFIX}${infer N}`
    ? N
    : never
  : never;

const FEATURE_NAMES: ReadonlyMap<string, number> = new Map([
  ["log_all", VHOST_F_LOG_ALL],
  ["protocol_features", vu.VHOST_USER_F_PROTOCOL_FEATURES],
]);

const PROTOCOL_NAMES: ReadonlyMap<string, number> = new Map(
  Object.entries(vu)
    .filter(([name]) => name.startsWith(PROTOCOL_PREFIX))
    .map(([name, bit]): [string, number] => [name.slice(PROTOCOL_PREFIX.length).toLowerCase(), bit as number])
    .sort(([, a], [, b]) => a - b),
);

/** The names that `parseFeatureMask` knows. */
export const FEATURE_MASK_NAMES: readonly string[] = [...FEATURE_NAMES.keys(), ...PROTOCOL_NAMES.keys()];

function masked(name: ProtocolName, why: string): MaskedFeature {
  return { bit: NAMED[`VHOST_USER_PROTOCOL_F_${name}`], name, why };
}

function bits(...names: readonly ProtocolName[]): bigint {
  return names.reduce((set, name) => set | featureBit(NAMED[`VHOST_USER_PROTOCOL_F_${name}`]), 0n);
}

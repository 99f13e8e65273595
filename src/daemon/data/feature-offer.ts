import { VHOST_F_LOG_ALL } from "../../layout/vhost.js";
import * as vu from "../../layout/vhost-user.js";
import { featureBit } from "../../layout/virtio-config.js";
import { type FeatureRefusal, hasFeature, shadowableFeatures } from "../../transport/features.js";
import {
  type MaskedFeature,
  OWN_FEATURES,
  OWN_PROTOCOL_FEATURES,
  offeredProtocolFeatures,
  parseFeatureMask,
  usedProtocolFeatures,
} from "../../vhost-user/features.js";
import type { SessionOffer } from "../../vhost-user/session.js";
import type { BackEnd } from "./back-end.js";
import type { DataOptions } from "./data-options.js";

/** Queues of a device that does not say how many it has: more than any without MQ. */
const RINGS_UNSAID = 32;
const RINGS_MAX = 256;
/** More slots than any machine uses: each region costs a mapping here. */
const MEM_SLOTS_MAX = 509;
const PROTOCOL_FEATURES = featureBit(vu.VHOST_USER_F_PROTOCOL_FEATURES);
const LOG_ALL = featureBit(VHOST_F_LOG_ALL);
const LOG_SHMFD = featureBit(vu.VHOST_USER_PROTOCOL_F_LOG_SHMFD);
const SLOTS = vu.VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS;

/** What a front end is offered of a back end's features, what is masked and why, and what the back end gets of them. */
export interface FeatureOffer extends SessionOffer {
  /** As the back end has them, before anything is masked. */
  readonly backFeatures: bigint;
  readonly backProtocolFeatures: bigint;
  readonly masked: readonly FeatureRefusal[];
  readonly maskedProtocol: readonly MaskedFeature[];
  /** Whether queues of the back end have to be enabled, and memory slots may be known. */
  readonly backHasProtocol: boolean;
  /** Whether the back end can log what it writes, and is let. */
  readonly backLogs: boolean;
  /** The features to agree on with the back end, for what the front end has accepted. */
  readonly forBackEnd: (accepted: bigint, backLogs: boolean) => bigint;
  /** Regions that the back end takes, once protocol features are agreed; throws BackEndLost. */
  readonly backSlots: (back: BackEnd, accepted: bigint) => number;
  /** The protocol features to agree on with the back end, for what the front end has accepted. */
  readonly protocolForBackEnd: (accepted: bigint) => bigint;
}

/** Asks a back end what it has, and makes an offer of it; throws BackEndLost. */
export function offerFeatures(back: BackEnd, options: DataOptions): FeatureOffer {
  const mask = parseFeatureMask(options.maskBackendFeatures);
  const backFeatures = back.askBits(vu.VHOST_USER_GET_FEATURES);
  const hasProtocol = hasFeature(backFeatures & ~mask.features, vu.VHOST_USER_F_PROTOCOL_FEATURES);
  const backProtocolFeatures = hasProtocol ? back.askBits(vu.VHOST_USER_GET_PROTOCOL_FEATURES) : 0n;
  const seen = backFeatures & ~mask.features;
  const seenProtocol = backProtocolFeatures & ~mask.protocolFeatures;
  back.tell(vu.VHOST_USER_SET_OWNER);
  const { offered, refused } = shadowableFeatures(seen, false);
  const { offered: protocolFeatures, masked: protocolRefusals } = offeredProtocolFeatures(seenProtocol);
  const backLogs = hasFeature(seen, VHOST_F_LOG_ALL) && hasFeature(seenProtocol, vu.VHOST_USER_PROTOCOL_F_LOG_SHMFD);
  // Without a shadow queue in between only the back end knows what is written.
  const logs = options.datapath !== "passthrough" || backLogs;
  const forBackEnd = (accepted: bigint) => {
    const log = backLogs && options.datapath === "passthrough" ? accepted & LOG_SHMFD & seenProtocol : 0n;
    return usedProtocolFeatures(seenProtocol, accepted) | log;
  };
  return {
    backFeatures,
    backProtocolFeatures,
    features: offered | (logs ? OWN_FEATURES : PROTOCOL_FEATURES),
    protocolFeatures: logs ? protocolFeatures : protocolFeatures & ~LOG_SHMFD,
    masked: refused.filter(({ bit }) => !hasFeature(OWN_FEATURES, bit)),
    maskedProtocol: protocolRefusals.filter(({ bit }) => !hasFeature(OWN_PROTOCOL_FEATURES, bit)),
    backHasProtocol: hasProtocol,
    backLogs,
    ringCount: ringCount(back, seenProtocol),
    memSlots: vu.VHOST_MEMORY_BASELINE_NREGIONS - 1,
    forBackEnd: (accepted, logging) =>
      (accepted & (logging ? offered | LOG_ALL : offered)) | (hasProtocol ? PROTOCOL_FEATURES : 0n),
    protocolForBackEnd: (accepted) => forBackEnd(accepted),
    backSlots: (to, accepted) =>
      hasFeature(forBackEnd(accepted), SLOTS)
        ? Math.min(MEM_SLOTS_MAX, to.askNumber(vu.VHOST_USER_GET_MAX_MEM_SLOTS))
        : vu.VHOST_MEMORY_BASELINE_NREGIONS,
  };
}

function ringCount(back: BackEnd, protocolFeatures: bigint): number {
  if (!hasFeature(protocolFeatures, vu.VHOST_USER_PROTOCOL_F_MQ)) return RINGS_UNSAID;
  // Some devices count pairs of queues, with one more for control.
  const said = back.askNumber(vu.VHOST_USER_GET_QUEUE_NUM);
  return Math.min(RINGS_MAX, Math.max(1, 2 * said + 1));
}

import { VHOST_IOTLB_MSG, VHOST_VRING_ADDR, VHOST_VRING_STATE } from "../layout/vhost.js";
import * as vu from "../layout/vhost-user.js";
import { PAYLOAD_BYTES_MAX } from "./codec.js";

/** Who sends a request: the front end on the connection, or the back end on the channel of its own. */
export type Channel = "front-end" | "back-end";

/** What a payload is; each has a decoder in `payloads.ts` or `memory-regions.ts`, except those after "inflight". */
export type PayloadKind =
  | "none"
  | "bits"
  | "u64"
  | "vringState"
  | "vringAddr"
  | "vringFile"
  | "memTable"
  | "memRegion"
  | "log"
  | "config"
  | "inflight"
  | "iotlb"
  | "vringArea"
  | "uuid"
  | "deviceState"
  | "opaque";

/**
 * When there is a reply beside the one that a sender may ask for with REPLY_ACK.
 *
 * - "if-asked": zero or an error code, and only if asked.
 * - "always": with a body, asked or not, which makes the code superfluous.
 * - "conditional": with a body in postcopy migration, which the relay does not offer; else as "if-asked".
 */
type ReplyRule = "if-asked" | "always" | "conditional";

/**
 * When a request is legal.
 *
 * - "any": from the first byte on.
 * - "owned": after SET_OWNER.
 * - "ring-stopped": after SET_OWNER, while the queue it names does not run.
 * - "rings-stopped": after SET_OWNER, while no queue runs.
 * - "ring-same": after SET_OWNER; while the queue runs, its areas must stay where they are (the log may change).
 * - "features": while a queue runs, nothing but VHOST_F_LOG_ALL may change.
 * - "protocol-features": while a queue runs, nothing may change.
 */
type LegalState = "any" | "owned" | "ring-stopped" | "rings-stopped" | "ring-same" | "features" | "protocol-features";

/** How many bytes and descriptors something may have, both ends included. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

/** What the body of a reply is. */
interface ReplyBody {
  readonly payload: PayloadKind;
  readonly sizes: Range;
  readonly fds: Range;
}

/** One row of the table. */
export interface MessageRule {
  readonly channel: Channel;
  readonly request: number;
  /** As in the protocol text. */
  readonly name: string;
  readonly payload: PayloadKind;
  readonly sizes: Range;
  readonly fds: Range;
  readonly legal: LegalState;
  /** Protocol feature bit without which it must not be sent. */
  readonly protocolFeature: number | undefined;
  /** Whether that bit must be agreed, or it is enough that the back end offers it, as the text has it for some. */
  readonly gate: "acked" | "offered";
  readonly reply: ReplyRule;
  /** Of a reply that is "always" or "conditional". */
  readonly body: ReplyBody | undefined;
}

/** The constants of the protocol by their names. */
const NAMED = { ...vu };

const SIZES: Readonly<Record<PayloadKind, Range>> = {
  none: exactly(0),
  bits: exactly(8),
  u64: exactly(8),
  vringState: exactly(VHOST_VRING_STATE.size),
  vringAddr: exactly(VHOST_VRING_ADDR.size),
  vringFile: exactly(8),
  memTable: {
    min: vu.VHOST_USER_MEMORY.size,
    max: vu.VHOST_USER_MEMORY.size + vu.VHOST_MEMORY_BASELINE_NREGIONS * vu.VHOST_USER_MEMORY_REGION.size,
  },
  memRegion: exactly(vu.VHOST_USER_MEM_REG_MSG.size),
  log: exactly(vu.VHOST_USER_LOG.size),
  config: { min: vu.VHOST_USER_CONFIG.size, max: vu.VHOST_USER_CONFIG.size + vu.VHOST_USER_MAX_CONFIG_SIZE },
  inflight: { min: vu.VHOST_USER_INFLIGHT.offsets.queue_size + 2, max: vu.VHOST_USER_INFLIGHT.size },
  iotlb: exactly(VHOST_IOTLB_MSG.size),
  vringArea: exactly(vu.VHOST_USER_VRING_AREA.size),
  uuid: exactly(vu.VHOST_USER_SHARED.size),
  deviceState: exactly(vu.VHOST_USER_TRANSFER_DEVICE_STATE.size),
  opaque: { min: 0, max: PAYLOAD_BYTES_MAX },
};

const NO_FDS = exactly(0);
const ONE_FD = exactly(1);
const MAYBE_FD: Range = { min: 0, max: 1 };

/** What the front end may send. */
const FRONT_END: readonly MessageRule[] = [
  row("GET_FEATURES", "none", "any", { body: body("bits") }),
  row("SET_FEATURES", "bits", "features"),
  row("SET_OWNER", "none", "any"),
  row("RESET_OWNER", "none", "owned"),
  row("SET_MEM_TABLE", "memTable", "owned", {
    fds: { min: 1, max: vu.VHOST_USER_MAX_FDS },
    reply: "conditional",
    body: body("memTable"),
  }),
  row("SET_LOG_BASE", "log", "owned", {
    fds: ONE_FD,
    needs: "LOG_SHMFD",
    // Nothing, a number, or the request's own payload: implementations differ, and nobody reads it.
    body: { payload: "opaque", sizes: { min: 0, max: vu.VHOST_USER_LOG.size }, fds: NO_FDS },
  }),
  row("SET_LOG_FD", "opaque", "owned", { fds: ONE_FD, sizes: { min: 0, max: 8 } }),
  row("SET_VRING_NUM", "vringState", "ring-stopped"),
  row("SET_VRING_ADDR", "vringAddr", "ring-same"),
  row("SET_VRING_BASE", "vringState", "ring-stopped"),
  row("GET_VRING_BASE", "vringState", "owned", { body: body("vringState") }),
  row("SET_VRING_KICK", "vringFile", "owned", { fds: MAYBE_FD }),
  row("SET_VRING_CALL", "vringFile", "owned", { fds: MAYBE_FD }),
  row("SET_VRING_ERR", "vringFile", "owned", { fds: MAYBE_FD }),
  row("GET_PROTOCOL_FEATURES", "none", "any", { body: body("bits") }),
  row("SET_PROTOCOL_FEATURES", "bits", "protocol-features"),
  row("GET_QUEUE_NUM", "none", "any", { needs: "MQ", gate: "offered", body: body("u64") }),
  row("SET_VRING_ENABLE", "vringState", "owned"),
  row("SEND_RARP", "bits", "owned", { needs: "RARP", gate: "offered" }),
  row("NET_SET_MTU", "u64", "owned", { needs: "NET_MTU", gate: "offered" }),
  row("SET_BACKEND_REQ_FD", "none", "any", { fds: ONE_FD, needs: "BACKEND_REQ", gate: "offered" }),
  row("IOTLB_MSG", "iotlb", "owned", { body: body("u64") }),
  row("SET_VRING_ENDIAN", "vringState", "ring-stopped", { needs: "CROSS_ENDIAN" }),
  // An empty body says that it could not be read.
  row("GET_CONFIG", "config", "any", { needs: "CONFIG", body: { ...body("config"), sizes: upTo(SIZES.config.max) } }),
  row("SET_CONFIG", "config", "owned", { needs: "CONFIG" }),
  row("CREATE_CRYPTO_SESSION", "opaque", "owned", { needs: "CRYPTO_SESSION", body: body("opaque") }),
  row("CLOSE_CRYPTO_SESSION", "bits", "owned", { needs: "CRYPTO_SESSION" }),
  row("POSTCOPY_ADVISE", "none", "owned", { needs: "PAGEFAULT", body: { ...body("none"), fds: ONE_FD } }),
  row("POSTCOPY_LISTEN", "none", "owned", { needs: "PAGEFAULT" }),
  row("POSTCOPY_END", "none", "owned", { needs: "PAGEFAULT", body: body("u64") }),
  row("GET_INFLIGHT_FD", "inflight", "rings-stopped", {
    needs: "INFLIGHT_SHMFD",
    body: { ...body("inflight"), fds: ONE_FD },
  }),
  row("SET_INFLIGHT_FD", "inflight", "rings-stopped", { fds: ONE_FD, needs: "INFLIGHT_SHMFD" }),
  row("GPU_SET_SOCKET", "none", "owned", { fds: ONE_FD }),
  row("RESET_DEVICE", "none", "owned", { needs: "RESET_DEVICE", gate: "offered" }),
  row("VRING_KICK", "vringState", "owned", { needs: "INBAND_NOTIFICATIONS" }),
  row("GET_MAX_MEM_SLOTS", "none", "any", { needs: "CONFIGURE_MEM_SLOTS", body: body("u64") }),
  row("ADD_MEM_REG", "memRegion", "owned", {
    fds: ONE_FD,
    needs: "CONFIGURE_MEM_SLOTS",
    reply: "conditional",
    body: body("memRegion"),
  }),
  // Some front ends send the region's descriptor along: it is closed.
  row("REM_MEM_REG", "memRegion", "owned", { fds: MAYBE_FD, needs: "CONFIGURE_MEM_SLOTS" }),
  row("SET_STATUS", "u64", "owned", { needs: "STATUS" }),
  row("GET_STATUS", "none", "owned", { needs: "STATUS", body: body("u64") }),
  row("GET_SHARED_OBJECT", "uuid", "owned", { needs: "SHARED_OBJECT", body: { ...body("opaque"), fds: MAYBE_FD } }),
  row("SET_DEVICE_STATE_FD", "deviceState", "rings-stopped", {
    fds: ONE_FD,
    needs: "DEVICE_STATE",
    body: { ...body("u64"), fds: MAYBE_FD },
  }),
  row("CHECK_DEVICE_STATE", "none", "owned", { needs: "DEVICE_STATE", body: body("u64") }),
];

/** What the back end may send on its own channel. */
const BACK_END: readonly MessageRule[] = [
  backRow("IOTLB_MSG", "iotlb"),
  backRow("CONFIG_CHANGE_MSG", "none", { needs: "CONFIG" }),
  backRow("VRING_HOST_NOTIFIER_MSG", "vringArea", { fds: MAYBE_FD, needs: "HOST_NOTIFIER" }),
  backRow("VRING_CALL", "vringState", { needs: "INBAND_NOTIFICATIONS" }),
  backRow("VRING_ERR", "vringState", { needs: "INBAND_NOTIFICATIONS" }),
  backRow("SHARED_OBJECT_ADD", "uuid", { needs: "SHARED_OBJECT" }),
  backRow("SHARED_OBJECT_REMOVE", "uuid", { needs: "SHARED_OBJECT" }),
  backRow("SHARED_OBJECT_LOOKUP", "uuid", { fds: MAYBE_FD, needs: "SHARED_OBJECT" }),
];

/** Every message of the protocol, once, in the order of its number, those of the front end first. */
export const MESSAGE_RULES: readonly MessageRule[] = [...FRONT_END, ...BACK_END];

const BY_REQUEST: Readonly<Record<Channel, ReadonlyMap<number, MessageRule>>> = {
  "front-end": new Map(FRONT_END.map((rule) => [rule.request, rule])),
  "back-end": new Map(BACK_END.map((rule) => [rule.request, rule])),
};

/** The row of a request; undefined for a number that has none. */
export function messageRule(request: number, channel: Channel = "front-end"): MessageRule | undefined {
  return BY_REQUEST[channel].get(request);
}

/** The name of a request, for people; "request 99" for a number that has none. */
export function requestName(request: number, channel: Channel = "front-end"): string {
  return messageRule(request, channel)?.name ?? `request ${request}`;
}

interface More {
  readonly sizes?: Range;
  readonly fds?: Range;
  readonly needs?: ProtocolFeatureName;
  readonly gate?: "offered";
  readonly reply?: ReplyRule;
  readonly body?: ReplyBody;
}

type NameAfter<Prefix extends string> = keyof typeof vu extends infer K
  ? K extends `${Prefix}${infer Rest}`
    ? Rest
    : never
  : never;
type ProtocolFeatureName = NameAfter<"VHOST_USER_PROTOCOL_F_">;
type FrontEndName = NameAfter<"VHOST_USER_">;
type BackEndName = NameAfter<"VHOST_USER_BACKEND_">;

function row(name: FrontEndName, payload: PayloadKind, legal: LegalState, more: More = {}): MessageRule {
  return rule("front-end", `VHOST_USER_${name}`, payload, legal, more);
}

function backRow(name: BackEndName, payload: PayloadKind, more: More = {}): MessageRule {
  return rule("back-end", `VHOST_USER_BACKEND_${name}`, payload, "any", { needs: "BACKEND_REQ", ...more });
}

function rule(
  channel: Channel,
  name: keyof typeof vu,
  payload: PayloadKind,
  legal: LegalState,
  more: More,
): MessageRule {
  return {
    channel,
    request: NAMED[name] as number,
    name,
    payload,
    sizes: more.sizes ?? SIZES[payload],
    fds: more.fds ?? NO_FDS,
    legal,
    protocolFeature: more.needs && NAMED[`VHOST_USER_PROTOCOL_F_${more.needs}`],
    gate: more.gate ?? "acked",
    reply: more.reply ?? (more.body ? "always" : "if-asked"),
    body: more.body,
  };
}

function body(payload: PayloadKind): ReplyBody {
  return { payload, sizes: SIZES[payload], fds: NO_FDS };
}

function exactly(count: number): Range {
  return { min: count, max: count };
}

function upTo(max: number): Range {
  return { min: 0, max };
}

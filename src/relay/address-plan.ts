import { IovaTree } from "../iova/iova-tree.js";
import { VHOST_ACCESS_RO, VHOST_ACCESS_RW } from "../layout/vhost.js";
import { gpa, iova } from "../memory/address.js";
import { ConfigError } from "../memory/config-error.js";
import type { DataPathName } from "./data-path.js";

/** How guest memory and shadow rings get their I/O virtual addresses. */
export const IOVA_POLICIES = ["tree", "gpa", "fixed", "identity-all"] as const;
/**
 * "tree": allocated, lowest first fit. "gpa": guest memory at its own address, rings in a window of their own. "fixed":
 * the same with DPDK's window. "identity-all": everything at a made-up host address, writable (the 2020 RFC): unsafe.
 */
export type IovaPolicy = (typeof IOVA_POLICIES)[number];

/** Where DPDK's vDPA drivers put mediated rings. */
export const FIXED_RING_WINDOW = 2 ** 45;
/** Where "identity-all" pretends that the relay's own memory lies. */
const HOST_BASE = 0x7f00_0000_0000;

/** A shadow ring's two halves in host memory: what the device only reads, and what it writes. */
export interface ShadowRingPlace {
  readonly backing: number;
  /** Byte offset of the descriptor table and available ring, whole pages. */
  readonly driverArea: { readonly offset: number; readonly bytes: number };
  /** Byte offset of the used ring, whole pages. */
  readonly deviceArea: { readonly offset: number; readonly bytes: number };
}

/** What has to be mapped for one device. */
export interface AddressRequest {
  readonly path: DataPathName;
  readonly policy: IovaPolicy;
  /** What the device can address, both ends included. */
  readonly aperture: { readonly first: number; readonly last: number };
  /** Guest RAM, and how many mappings to cut each region into. */
  readonly regions: readonly { readonly gpa: number; readonly bytes: number }[];
  readonly mappings: number;
  readonly rings: readonly ShadowRingPlace[];
}

/** Where a shadow ring's halves are for the device. */
interface RingIovas {
  readonly driverArea: number;
  readonly deviceArea: number;
}

/** The address space of one device under one policy. */
export interface AddressPlan {
  readonly tree: IovaTree;
  readonly rings: readonly RingIovas[];
}

/** Maps guest memory and shadow rings; throws ConfigError when the aperture or the policy cannot hold them. */
export function planAddresses(request: AddressRequest): AddressPlan {
  const { aperture } = request;
  const needsRings = request.path === "svq" || request.path === "used-only";
  const policy = needsRings ? request.policy : "gpa";
  // Guest memory lies within 2^43 bytes from where the tree begins, so "identity-all" begins at its host address.
  const first = policy === "identity-all" ? Math.max(aperture.first, HOST_BASE) : aperture.first;
  if (first > aperture.last) throw tooSmall(request, "guest memory");
  const tree = new IovaTree({ first: iova(first), last: iova(aperture.last) }, policy !== "tree");
  mapGuest(tree, request, policy);
  const rings = needsRings ? request.rings.map((ring, queue) => mapRing(tree, request, policy, ring, queue)) : [];
  return { tree, rings };
}

function mapGuest(tree: IovaTree, request: AddressRequest, policy: IovaPolicy): void {
  // Only a shadowed ring may lie across mappings: the others the device reads where they are.
  const count = request.path === "svq" ? request.mappings : 1;
  const pieces = request.regions.flatMap((region) => cut(region, count));
  const end = guestEnd(request);
  if (policy === "fixed" && end > FIXED_RING_WINDOW) {
    throw new ConfigError(`guest memory up to ${hex(end)} covers the fixed ring window at ${hex(FIXED_RING_WINDOW)}`);
  }
  const base = policy === "identity-all" ? HOST_BASE : 0;
  const requests = pieces.map(({ gpa: start, bytes }) => {
    const mapping = { gpa: gpa(start), bytes, perm: VHOST_ACCESS_RW };
    return policy === "tree" ? mapping : { ...mapping, iova: iova(base + start) };
  });
  if (tree.mapGuestMany(requests) === undefined) throw tooSmall(request, "guest memory");
}

function mapRing(
  tree: IovaTree,
  request: AddressRequest,
  policy: IovaPolicy,
  ring: ShadowRingPlace,
  queue: number,
): RingIovas {
  const { driverArea, deviceArea, backing } = ring;
  const readable = policy === "identity-all" ? VHOST_ACCESS_RW : VHOST_ACCESS_RO;
  if (policy === "tree") {
    const driver = tree.mapHost({ backing, offset: driverArea.offset }, driverArea.bytes, readable);
    const device = tree.mapHost({ backing, offset: deviceArea.offset }, deviceArea.bytes, VHOST_ACCESS_RW);
    if (driver === undefined || device === undefined) throw tooSmall(request, `the rings of queue ${queue}`);
    return { driverArea: driver, deviceArea: device };
  }
  const window = ringWindow(request, policy);
  const places = { driverArea: window + driverArea.offset, deviceArea: window + deviceArea.offset };
  const mapped =
    tree.mapHostAt({ backing, offset: driverArea.offset }, driverArea.bytes, iova(places.driverArea), readable) &&
    tree.mapHostAt({ backing, offset: deviceArea.offset }, deviceArea.bytes, iova(places.deviceArea), VHOST_ACCESS_RW);
  if (!mapped) throw tooSmall(request, `the rings of queue ${queue} at ${hex(window)}`);
  return places;
}

/** Where rings go when guest memory keeps its own addresses: above all of it, or where DPDK has them. */
function ringWindow(request: AddressRequest, policy: IovaPolicy): number {
  if (policy === "fixed") return FIXED_RING_WINDOW;
  const end = guestEnd(request);
  const gigabyte = 2 ** 30;
  return Math.ceil(end / gigabyte) * gigabyte + (policy === "identity-all" ? HOST_BASE : 0);
}

/** One past the highest guest physical address. */
function guestEnd({ regions }: AddressRequest): number {
  return Math.max(...regions.map(({ gpa, bytes }) => gpa + bytes));
}

/** Cuts a region into `count` mappings of whole pages, as equal as they come. */
function cut(region: { gpa: number; bytes: number }, count: number): { gpa: number; bytes: number }[] {
  const pages = region.bytes / 4096;
  const wanted = Math.min(count, pages);
  const edge = (i: number) => Math.floor((i * pages) / wanted) * 4096;
  return Array.from({ length: wanted }, (_, i) => ({ gpa: region.gpa + edge(i), bytes: edge(i + 1) - edge(i) }));
}

function tooSmall(request: AddressRequest, what: string): ConfigError {
  const { first, last } = request.aperture;
  return new ConfigError(`the aperture ${hex(first)}..${hex(last)} has no room for ${what} (policy ${request.policy})`);
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

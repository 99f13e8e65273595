import { pathToFileURL } from "node:url";
import { PatchedBuild } from "../mutants/patched-build.js";
import type { Cast } from "./play.js";
import type { Twin } from "./twin-list.js";

/** What the three import from. */
const FOLDERS = ["dirty", "iova", "layout", "memory", "relay", "ring", "telemetry", "transport"];

/**
 * The classes with the twin in the place of one, from a patched copy of the build that is gone when this returns.
 *
 * Each call makes a copy of its own: a module is loaded once for each place where it lies. Throws PatchError.
 */
export async function castWith({ entry, patches }: Pick<Twin, "entry" | "patches">): Promise<Partial<Cast>> {
  const build = new PatchedBuild(FOLDERS);
  try {
    const url = pathToFileURL(build.path(entry)).href;
    return await build.with(patches, async () => (await import(/* @vite-ignore */ url)) as Partial<Cast>);
  } finally {
    build.remove();
  }
}

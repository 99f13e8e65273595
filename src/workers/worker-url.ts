import { existsSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

/** The directory of package.json, seen from src/ and from dist/src/ alike. */
export function packageRoot(): string {
  let directory = import.meta.dirname;
  while (!existsSync(join(directory, "package.json"))) {
    const parent = dirname(directory);
    if (parent === directory) throw new Error(`no package.json above ${import.meta.dirname}`);
    directory = parent;
  }
  return directory;
}

/**
 * The built file of a worker: workers start from dist/, also when a test runs from src/.
 *
 * Throws Error when it is missing, or when the build is older than a source: results would be those of other code.
 */
export function workerUrl(name: string, root = packageRoot()): URL {
  const built = join(root, "dist", "src", "workers", `${name}.worker.js`);
  if (!existsSync(built)) throw new Error(`worker ${name} is not built: ${built} is missing; run "npm run build"`);
  const source = newestSource(join(root, "src"));
  if (source !== null && source.mtimeMs > builtAt(root, built)) {
    throw new Error(`the build of worker ${name} is older than ${source.file}; run "npm run build"`);
  }
  return pathToFileURL(built);
}

/** When the build last ran, in ms. The compiler leaves files without changes alone, but always renews its record. */
function builtAt(root: string, built: string): number {
  const record = statSync(join(root, "dist", ".tsbuildinfo"), { throwIfNoEntry: false });
  return Math.max(statSync(built).mtimeMs, record?.mtimeMs ?? 0);
}

function newestSource(directory: string): { file: string; mtimeMs: number } | null {
  // An installed package has no sources.
  if (!existsSync(directory)) return null;
  let newest = null;
  for (const name of readdirSync(directory, { recursive: true, encoding: "utf8" })) {
    if (!name.endsWith(".ts")) continue;
    const file = join(directory, name);
    const mtimeMs = statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (newest === null || mtimeMs > newest.mtimeMs) newest = { file, mtimeMs };
  }
  return newest;
}

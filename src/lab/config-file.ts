import { readFileSync } from "node:fs";
import { isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument } from "yaml";
import type { MachineConfig } from "../machine/config.js";
import { UsageError } from "../report/exit-codes.js";
import type { PathChoice } from "./paths.js";
import { parsePaths, parseRounds, settingOf } from "./settings.js";

/** What a config file says. */
export interface FileConfig {
  readonly asked: Partial<MachineConfig>;
  readonly paths: PathChoice[] | undefined;
  readonly input: string | undefined;
  readonly rounds: number | undefined;
}

/** Reads a YAML config: settings by their names, and paths, input, rounds. Throws UsageError with line and column. */
export function readConfigFile(path: string): FileConfig {
  const lines = new LineCounter();
  const document = parseDocument(read(path), { lineCounter: lines });
  const where = (offset: number | undefined) => {
    const { line, col } = lines.linePos(offset ?? 0);
    return `${path}:${line}:${col}`;
  };
  const wrong = document.errors[0];
  if (wrong !== undefined) throw new UsageError(`${where(wrong.pos[0])}: ${wrong.message.split("\n")[0]}`);
  const root = document.contents;
  if (root === null) return { asked: {}, paths: undefined, input: undefined, rounds: undefined };
  if (!isMap(root)) throw new UsageError(`${where(0)}: a config is a map of settings`);
  const result = {
    asked: {} as Record<string, unknown>,
    paths: undefined,
    input: undefined,
    rounds: undefined,
  } as Record<string, unknown>;
  for (const pair of root.items) takePair(pair as Pair<Node, Node | null>, where, result);
  return result as unknown as FileConfig;
}

function takePair(
  pair: Pair<Node, Node | null>,
  where: (offset?: number) => string,
  result: Record<string, unknown>,
): void {
  const key = String(isScalar(pair.key) ? pair.key.value : pair.key);
  const at = where(pair.key.range?.[0]);
  const text = valueText(pair.value, `${where(pair.value?.range?.[0] ?? pair.key.range?.[0])}: ${key}`);
  try {
    if (key === "paths") result["paths"] = parsePaths(text);
    else if (key === "input") result["input"] = text;
    else if (key === "rounds") result["rounds"] = parseRounds(text);
    else {
      const setting = settingOf(key);
      if (setting === undefined) throw new UsageError(`unknown key "${key}"`);
      (result["asked"] as Record<string, unknown>)[setting.field] = setting.parse(text);
    }
  } catch (error) {
    throw new UsageError(`${at}: ${(error as Error).message}`);
  }
}

function valueText(node: Node | null, what: string): string {
  if (isScalar(node)) return String(node.value);
  if (isSeq(node) && node.items.every(isScalar)) return node.items.map((item) => String(item.value)).join(",");
  throw new UsageError(`${what} is neither a value nor a list of values`);
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(`config ${path}: ${(error as Error).message}`);
  }
}

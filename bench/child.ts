/** One timed process: loads a recorded input, shows its outputs, then takes a window whenever it is asked for one. */
import { readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { loadKernel } from "./kernels/load.js";

const [name = "", inputFile = "", outputFile = ""] = process.argv.slice(2);
const bytes = readFileSync(inputFile);
const input = new Int32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
const kernel = await (await loadKernel(name))(input);
writeFileSync(outputFile, await kernel.outputs());
process.stdout.write("ready\n");
for await (const line of createInterface({ input: process.stdin })) {
  const [word, ns] = line.split(" ");
  if (word !== "window") break;
  process.stdout.write(`${await kernel.window(Number(ns))}\n`);
}
await kernel.close();

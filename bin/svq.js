#!/usr/bin/env node
// npx links a command once, to a file that is there and may be run: a file that is built is neither in a fresh copy.
import { existsSync } from "node:fs";

const built = new URL("../dist/src/cli/svq.js", import.meta.url);
if (existsSync(built)) await import(built.href);
else {
  process.stderr.write('svq: it is not built; run "npm run build"\n');
  process.exitCode = 2;
}

// Makes the one file that a page without a bundler loads: `node build.js FILE`, or all of it to standard output.
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

export const BANNER = "// Made by build.js in clients/js of Signalbox (MIT licence). Do not edit.\n";

/** The library in one module, minified. */
export async function bundle() {
  const entry = fileURLToPath(new URL("src/index.js", import.meta.url));
  const made = await build({ entryPoints: [entry], bundle: true, minify: true, format: "esm", target: "es2022", write: false });
  return BANNER + made.outputFiles[0].text;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(process.argv[2] ?? 1, await bundle());

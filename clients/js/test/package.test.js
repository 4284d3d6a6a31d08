// B30 and the size: what comes out of the package in other hands.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { BANNER, bundle } from "../build.js";

const HOME = fileURLToPath(new URL("..", import.meta.url));
const MOST_BYTES = 6144;

// A project that depends on the package, as npm would have installed it.
const project = mkdtempSync(join(tmpdir(), "sb-client-"));
mkdirSync(join(project, "node_modules"));
symlinkSync(HOME, join(project, "node_modules", "signalbox-client"));
writeFileSync(join(project, "package.json"), '{"type":"module"}');
after(() => rmSync(project, { recursive: true }));

const USE = `
import { connect, SignalboxError } from "signalbox-client";
const client = connect("https://box.test");
console.log(typeof client.signal, new SignalboxError("closed", "x").code, client.state);
client.close();
`;
const PRINTS = "function closed idle\n";

function run(file) {
  const done = spawnSync(process.execPath, [file], { cwd: project, encoding: "utf8" });
  assert.equal(done.stderr, "");
  return done.stdout;
}

test("at most 6 KB, minified and gzipped, with everything", async () => {
  const bytes = gzipSync((await bundle()).replace(BANNER, ""), { level: 9 }).length;
  assert.ok(bytes <= MOST_BYTES, `${bytes} bytes are more than ${MOST_BYTES}`);
});

test("the copy that examples/chat serves is this library: npm run build", async () => {
  const copy = readFileSync(join(HOME, "../../examples/chat/public/signalbox-client.js"), "utf8");
  assert.ok(copy === (await bundle()));
});

test("no dependency, and no require of anything", async () => {
  const { dependencies, peerDependencies, optionalDependencies } = JSON.parse(readFileSync(join(HOME, "package.json")));
  assert.deepEqual([dependencies, peerDependencies, optionalDependencies], [undefined, undefined, undefined]);
  assert.doesNotMatch(await bundle(), /\brequire\b|\bimport\b/);
});

test("B30 exports: Node imports it by its name", () => {
  writeFileSync(join(project, "use.js"), USE);
  assert.equal(run("use.js"), PRINTS);
});

test("B30 exports: esbuild, for a browser and for Node", async () => {
  const { build } = await import("esbuild");
  writeFileSync(join(project, "use.js"), USE);
  for (const platform of ["browser", "node", "neutral"]) {
    const { warnings } = await build({
      entryPoints: [join(project, "use.js")], bundle: true, platform, format: "esm", outfile: join(project, `${platform}.mjs`),
      preserveSymlinks: true, logLevel: "silent",
    });
    assert.deepEqual(warnings, []);
    assert.equal(run(`${platform}.mjs`), PRINTS);
  }
});

test("B30 exports: vite, which is rollup", async () => {
  const { build } = await import("vite");
  writeFileSync(join(project, "use.js"), USE);
  await build({
    root: project, logLevel: "error", configFile: false, resolve: { preserveSymlinks: true },
    build: { lib: { entry: join(project, "use.js"), formats: ["es"], fileName: () => "vite.mjs" }, outDir: "dist", minify: false },
  });
  assert.equal(run("dist/vite.mjs"), PRINTS);
});

test("B30 exports: rollup finds the entry that package.json names", async () => {
  const { rollup } = await import("rollup");
  const { exports } = JSON.parse(readFileSync(join(HOME, "package.json")));
  const made = await rollup({ input: join(HOME, exports["."].default), onwarn: (warning) => assert.fail(warning.message) });
  const { output } = await made.generate({ format: "es" });
  assert.deepEqual(output[0].exports.sort(), ["SignalboxError", "connect"]);
  assert.deepEqual(output[0].imports, []);
});

const TYPES = `
import { connect, SignalboxError, type Client, type Message, type Signal } from "signalbox-client";
const stop = new AbortController();
const client: Client = connect(new URL("https://box.test"), {
  token: async ({ rejected, signal }) => (rejected || signal.aborted ? null : "t"),
  transports: ["websocket"] as const, WebSocket, fetch, multiplex: false,
  retry: ({ error, attempt, serverHintMs }) => (error.closeCode === 4000 ? false : serverHintMs ?? attempt * 10),
  queue: { messages: 1 }, signal: stop.signal, backoffMs: [1, 2], log: (event, detail) => console.log(event, detail.error),
});
const signal: Signal<{ text: string }> = client.signal<{ text: string }>("/msg", { resume: "x", signal: stop.signal });
const off: () => void = signal.on("message", ({ data }: Message<{ text: string }>) => {
  if (!(data instanceof Uint8Array)) console.log(data.text.length);
}, { signal: stop.signal });
signal.on("gap", ({ after, cause }) => console.log(after?.length, cause satisfies "history" | "restart" | "paused"));
signal.on("state", async ({ state, error, retryInMs }) => console.log(state, error?.code, retryInMs));
async function go() {
  const { clientId, groups } = await signal.ready();
  const { id } = await signal.send({ a: clientId }, { group: groups, direct: true, id: "x" });
  const text: string | null = id;
  for await (const message of signal) console.log(message.replayed, text);
  try { off(); } catch (error) { if (error instanceof SignalboxError) console.log(error.status, error.cause); }
}
go();
// @ts-expect-error
signal.on("messages", () => {});
// @ts-expect-error
client.signal(7);
// @ts-expect-error
signal.position = "x";
// @ts-expect-error
connect("x", { transports: ["carrier pigeon"] });
`;

for (const [module, moduleResolution] of [["NodeNext", "NodeNext"], ["Node16", "Node16"], ["ESNext", "Bundler"]]) {
  test(`B30 types: a strict program with moduleResolution ${moduleResolution}`, async () => {
    const { default: ts } = await import("typescript");
    const file = join(project, "use.ts");
    writeFileSync(file, TYPES);
    const program = ts.createProgram([file], {
      strict: true, noEmit: true, target: ts.ScriptTarget.ES2022, lib: ["lib.es2022.d.ts", "lib.dom.d.ts"], types: [],
      module: ts.ModuleKind[module], moduleResolution: ts.ModuleResolutionKind[moduleResolution],
      exactOptionalPropertyTypes: false, preserveSymlinks: true,
    });
    const found = ts.getPreEmitDiagnostics(program).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n"));
    assert.deepEqual(found, []);
  });
}

test("B30 types: what is declared is what there is", async () => {
  const { connect, SignalboxError } = await import("../src/index.js");
  const declared = readFileSync(join(HOME, "index.d.ts"), "utf8");
  const membersOf = (name) => {
    const body = declared.match(new RegExp(`export interface ${name}\\b[^{]*\\{\\n([\\s\\S]*?)\\n\\}`))[1];
    return [...body.matchAll(/^ {2}(?:readonly )?(\w+)[?<(:]/gm)].map((match) => match[1]).sort();
  };
  const client = connect("http://box.test", { WebSocket: class { close() {} } });
  const signal = client.signal("/msg");
  assert.deepEqual(Object.keys(client).sort(), membersOf("Client"));
  assert.deepEqual(Object.keys(signal).sort(), membersOf("Signal"));
  assert.equal(typeof signal[Symbol.asyncIterator], "function");
  assert.ok(new SignalboxError("x", "y") instanceof Error);
  client.close();
});

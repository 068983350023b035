// Bundles src/*.ts and styles/*.css into dist/ with hashed names, makes one sprite of the icons listed in icons.txt,
// writes dist/manifest.json (plain name -> hashed name), and lays .br and .gz beside each file. `node build.mjs`
import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import path from "node:path";
import zlib from "node:zlib";
import esbuild from "esbuild";

const here = path.dirname(fileURLToPath(import.meta.url));
const dist = path.join(here, "dist");
const manifest = {};

async function put(name, bytes) {
  const extension = path.extname(name);
  const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 10);
  const hashed = `${name.slice(0, -extension.length)}-${hash}${extension}`;
  manifest[name] = hashed;
  const brotli = { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 9 } };
  await writeFile(path.join(dist, hashed), bytes);
  await writeFile(path.join(dist, `${hashed}.br`), zlib.brotliCompressSync(bytes, brotli));
  await writeFile(path.join(dist, `${hashed}.gz`), zlib.gzipSync(bytes, { level: 9 }));
}

const PAGES = ["app.ts", "stats.ts", "console.ts"];

async function entries(folder, extension) {
  const names = await readdir(path.join(here, folder));
  return names.filter((name) => (extension === ".ts" ? PAGES.includes(name) : name.endsWith(extension) && !name.startsWith("_"))).map((name) => path.join(here, folder, name));
}

async function bundle() {
  const entryPoints = [...(await entries("src", ".ts")), ...(await entries("styles", ".css"))];
  if (entryPoints.length === 0) return;
  const result = await esbuild.build({
    entryPoints, bundle: true, minify: true, write: false, outdir: dist, outbase: here, entryNames: "[name]",
    format: "esm", target: ["chrome120", "firefox120", "safari17"], legalComments: "none", logLevel: "warning",
  });
  for (const file of result.outputFiles) await put(path.basename(file.path), Buffer.from(file.contents));
}

async function sprite() {
  const names = (await readFile(path.join(here, "icons.txt"), "utf8")).split(/\s+/).filter(Boolean);
  const symbols = await Promise.all(names.map(async (name) => {
    const svg = await readFile(path.join(here, "node_modules/lucide-static/icons", `${name}.svg`), "utf8");
    const inner = svg.replace(/^[\s\S]*?<svg[^>]*>/, "").replace(/<\/svg>\s*$/, "").replace(/\s+/g, " ").trim();
    return `<symbol id="${name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round">${inner}</symbol>`;
  }));
  await put("icons.svg", Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg">${symbols.join("")}</svg>`));
}

await rm(dist, { recursive: true, force: true });
await mkdir(dist, { recursive: true });
await bundle();
await sprite();
await writeFile(path.join(dist, "manifest.json"), JSON.stringify(manifest, null, 1));

// How the studio is built: hashed assets, each with a .gz beside it, into the Python package.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import tailwind from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.env.STUDIO_OUT ?? join(here, "../src/headwater/server/studio");

/** The server sends the .gz as it lies here, so that no request compresses anything. */
function precompressed() {
  return {
    name: "precompressed",
    apply: "build",
    closeBundle() {
      const folder = join(out, "assets");
      for (const name of readdirSync(folder)) {
        if (!/\.(js|css|svg)$/.test(name)) continue;
        const path = join(folder, name);
        // No time stamp in the header: the same sources give the same bytes.
        writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }));
      }
    },
  };
}

export default defineConfig({
  root: here,
  base: "/",
  plugins: [react(), tailwind(), precompressed()],
  resolve: { alias: { "@": join(here, "src") } },
  build: {
    outDir: out,
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    manifest: "manifest.json",
    chunkSizeWarningLimit: 900,
  },
  server: {
    proxy: { "/api": process.env.HEADWATER_URL ?? "http://127.0.0.1:8420" },
  },
});

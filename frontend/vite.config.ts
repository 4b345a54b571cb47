import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// Where `npm run dev` finds the service: both addresses are what `make up` prints.
const api = process.env.UNDERSTUDY_API_URL ?? "http://127.0.0.1:8000";
const guard = process.env.UNDERSTUDY_GUARD_URL ?? "http://127.0.0.1:8100";

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  plugins: [react()],
  resolve: { alias: { "@": file("./src") } },
  html: { cspNonce: "__CSP_NONCE__" },
  build: {
    target: "es2023",
    // Read by `make bench` for what each page loads.
    manifest: "manifest.json",
    // A data: URL would need an exception in the content security policy.
    assetsInlineLimit: 0,
    rolldownOptions: { input: { studio: file("./studio.html"), operations: file("./operations.html") } },
  },
  server: {
    proxy: {
      "/api": api,
      "/auth": api,
      "/objects": api,
      "/guard": { target: guard, rewrite: (path) => path.replace(/^\/guard/, "") },
    },
  },
  test: {
    environment: "jsdom",
    setupFiles: ["./tests/setup.ts"],
    include: ["tests/**/*.test.{ts,tsx}"],
    restoreMocks: true,
  },
});

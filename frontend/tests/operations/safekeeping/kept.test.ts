import { expect, test } from "vitest";
import {
  astray,
  type Backup,
  changesOf,
  type KnownGood,
  type Process,
  standingOf,
  totalBytes,
  usable,
} from "@/operations/pages/safekeeping/kept";

const backup = (id: string, changes: Partial<Backup> = {}): Backup => ({
  id,
  created_at: "2026-11-29T12:00:00Z",
  size_bytes: 100,
  verified_at: "2026-11-29T12:01:00Z",
  problem: null,
  ...changes,
});

const record = (changes: Partial<KnownGood> = {}): KnownGood => ({
  seq: 1,
  at: "2026-11-29T12:00:00Z",
  actor: "person:ann",
  reason: "all checks pass",
  environment: "e1",
  environment_sha256: "5e0d".repeat(16),
  revision: "r1",
  tag: "v1",
  changed: false,
  release: null,
  migrations_head: "1",
  mode: "modal",
  region: "intl",
  qwen_key_fingerprint: null,
  ...changes,
});

test("a problem takes the proof back", () => {
  expect(standingOf(backup("a"))).toBe("proven");
  expect(standingOf(backup("a", { verified_at: null }))).toBe("unproven");
  expect(standingOf(backup("a", { problem: "truncated" }))).toBe("broken");
});

test("a restore takes the newest proven one", () => {
  const kept = [backup("c", { verified_at: null }), backup("b"), backup("a")];
  expect(usable(kept)?.id).toBe("b");
  expect(usable([backup("a", { problem: "truncated" })])).toBeNull();
});

test("sizes that nobody knows count nothing", () => {
  expect(totalBytes([backup("a"), backup("b", { size_bytes: null })])).toBe(100);
});

test("only who is known to run something else is astray", () => {
  const process = (known_good_ok: boolean | null) => ({ known_good_ok }) as Process;
  expect(astray([process(true), process(null), process(false)])).toHaveLength(1);
});

test("a record tells what is not as it was", () => {
  expect(changesOf(record({ tag: "v2", revision: "r2" }), record())).toEqual(["tag", "revision"]);
  expect(changesOf(record(), undefined)).toEqual([]);
});

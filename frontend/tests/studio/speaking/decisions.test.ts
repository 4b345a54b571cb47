import { expect, test } from "vitest";
import { afterBreak, type Broken, type Decision } from "@/studio/speaking/decisions";

const before = (status: number, detail: string): Broken => ({ heard: false, status, detail });
const amid = (task: (Broken & { heard: true })["task"], asked = false): Broken => ({
  heard: true,
  task,
  asked,
});

const TABLE: [Broken, Decision][] = [
  [before(409, "The active provider does not stream. Use /api/generate and /api/tasks/{id}."), "fall_back"],
  [before(502, "The speech provider rejected the request (HTTP 400)."), "fall_back"],
  [before(503, "The speech provider is unavailable (HTTP 500)."), "fall_back"],
  [before(503, "The connection to the speech provider failed (handshake)."), "fall_back"],
  [before(504, "The speech provider took longer than 15 s (first audio)."), "fall_back"],
  [before(400, "Text cannot exceed 2000 characters"), "refused"],
  [before(401, "Invalid or expired token"), "refused"],
  [before(404, "Voice not found."), "refused"],
  [before(409, "You have 8 streams under way, and may have no more at a time."), "refused"],
  [before(409, "This voice cannot be spoken by the active speech provider yet."), "refused"],
  [before(429, "Speech generation is paused by the operators; try again later."), "refused"],
  [before(500, "Something went wrong on our side."), "refused"],
  [before(503, "Changes are paused for maintenance; nothing was changed, try again later."), "refused"],
  [before(503, "The speech was interrupted on our side; try again."), "refused"],
  [before(409, "The speech was cancelled."), "cancelled"],
  [before(0, "The service does not answer right now."), "unknown"],
  [amid("failed"), "fall_back"],
  [amid("processing"), "fall_back"],
  [amid(null), "fall_back"],
  // The connection broke, which looks to the service like somebody who hung up.
  [amid("cancelled"), "fall_back"],
  [amid("cancelled", true), "cancelled"],
  [amid("deleted"), "cancelled"],
  [amid("completed"), "kept"],
];

test.each(TABLE)("%j: %s", (broken, decision) => {
  expect(afterBreak(broken)).toBe(decision);
});

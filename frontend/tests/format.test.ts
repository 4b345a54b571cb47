import { expect, test } from "vitest";
import { ago, clock, codePoints, duration, money } from "@/shared/format";

test("money tells small sums from nothing", () => {
  expect(money(0)).toBe("$0.00");
  expect(money(10_000)).toBe("$0.01");
  expect(money(1_300)).toBe("$0.0013");
  expect(money(12_345_678)).toBe("$12.35");
});

test("characters are code points, as the API counts them", () => {
  expect(codePoints("né")).toBe(2);
  expect(codePoints("👩‍🚀")).toBe(3);
  expect("👩‍🚀".length).toBe(5);
});

test("durations are said as people say them", () => {
  expect(duration(320)).toBe("320 ms");
  expect(duration(4200)).toBe("4.2 s");
  expect(duration(185_000)).toBe("3 min 05 s");
  expect(duration(999.6)).toBe("1.0 s");
  expect(duration(59_960)).toBe("1 min 00 s");
  expect(duration(659_600)).toBe("11 min 00 s");
  expect(duration(3_599_700)).toBe("1 h 00 min");
  expect(clock(65.9)).toBe("1:05");
});

test("how long ago it was", () => {
  const now = new Date("2026-11-29T12:00:00Z");
  expect(ago(new Date("2026-11-29T11:59:58Z"), now)).toBe("just now");
  expect(ago(new Date("2026-11-29T11:58:00Z"), now)).toBe("2 min ago");
});

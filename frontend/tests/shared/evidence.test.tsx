import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";
import { fieldsOf, nameOf, shownOf } from "@/shared/evidence";
import { Evidence } from "@/shared/evidenceView";

test("each value is shown as what it is", () => {
  expect(shownOf(null)).toEqual({ kind: "text", text: "none" });
  expect(shownOf(false)).toEqual({ kind: "text", text: "no" });
  expect(shownOf(0)).toEqual({ kind: "text", text: "0" });
  expect(shownOf("a".repeat(64))).toEqual({ kind: "hash", text: "a".repeat(64) });
  expect(shownOf("2026-11-29T15:01:05.905513+00:00").kind).toBe("time");
  expect(shownOf("2026-99-99T99:99:99Z").kind).toBe("text");
  expect(shownOf(["api", "worker"])).toEqual({ kind: "text", text: "api, worker" });
  expect(shownOf([{ a: 1 }, { a: 2 }])).toMatchObject({ kind: "part", about: "2 rows" });
  expect(shownOf({})).toEqual({ kind: "text", text: "none" });
});

test("names are words where they are not the names of something", () => {
  expect(nameOf("changed_at")).toBe("changed at");
  expect(nameOf("TTS_PROVIDER_MODE")).toBe("TTS_PROVIDER_MODE");
  expect(nameOf("GET /api/health")).toBe("GET /api/health");
  expect(fieldsOf({ n: 1 })[0]?.name).toBe("n");
});

test("a long list opens by and by, and hostile text is text", async () => {
  const rows = Array.from({ length: 100 }, (_, at) => ({ at, text: "<img src=x onerror=alert(1)>" }));
  const { container } = render(<Evidence document={{ failing_calls: rows }} whole />);
  await userEvent.click(screen.getByText("100 rows"));
  expect(await screen.findByText("Row 12")).toBeInTheDocument();
  expect(screen.queryByText("Row 13")).toBeNull();
  await userEvent.click(screen.getByRole("button", { name: "Show 48 more" }));
  expect(screen.getByText("Row 60")).toBeInTheDocument();
  expect(container.querySelector("img")).toBeNull();
});

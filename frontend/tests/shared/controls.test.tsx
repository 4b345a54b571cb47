import { render, screen } from "@testing-library/react";
import { expect, test } from "vitest";
import { Counter, TextAreaField } from "@/shared/controls";

test("a field keeps its name while it is written in, and is described by its counter", () => {
  render(
    <TextAreaField
      label="Text"
      hint="Anything."
      side={<Counter text="four" limit={2000} />}
      defaultValue="four"
    />,
  );
  const field = screen.getByRole("textbox", { name: "Text" });
  expect(field).toHaveAccessibleDescription("4 / 2,000 Anything.");
});

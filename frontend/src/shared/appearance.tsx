import { Monitor, Moon, Sun } from "lucide-react";
import { useState } from "react";
import { common } from "@/strings/common";
import { IconButton } from "./controls";

const KEY = "understudy.appearance";
const ORDER = ["system", "light", "dark"] as const;
export type Appearance = (typeof ORDER)[number];

function kept(): Appearance {
  try {
    return ORDER.find((one) => one === localStorage.getItem(KEY)) ?? "system";
  } catch {
    return "system"; // Storage is closed to this page.
  }
}

function apply(appearance: Appearance): void {
  if (appearance === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = appearance;
}

/** Puts the kept choice in force; called before the first paint. */
export function restoreAppearance(): void {
  apply(kept());
}

export function AppearanceButton() {
  const [appearance, setAppearance] = useState(kept);
  const turn = () => {
    const next = ORDER[(ORDER.indexOf(appearance) + 1) % ORDER.length] ?? "system";
    setAppearance(next);
    apply(next);
    try {
      localStorage.setItem(KEY, next);
    } catch {
      // It holds until the page is left.
    }
  };
  const Icon = { system: Monitor, light: Sun, dark: Moon }[appearance];
  return (
    <IconButton label={`${common.theme}: ${common.themes[appearance]}`} onClick={turn}>
      <Icon size={18} aria-hidden="true" />
    </IconButton>
  );
}

import { useEffect, useState } from "react";
import type { Token } from "./series";

/** Reads a colour of the theme as a canvas wants it: the scheme that is in force is taken. */
export function colour(token: Token): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${token})`;
  document.body.append(probe);
  const read = getComputedStyle(probe).color;
  probe.remove();
  return read;
}

/** A number that changes with the scheme, for what was drawn in its colours. */
export function useScheme(): number {
  const [version, setVersion] = useState(0);
  useEffect(() => {
    const changed = () => setVersion((before) => before + 1);
    const scheme = window.matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", changed);
    const theme = new MutationObserver(changed);
    theme.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    return () => {
      scheme.removeEventListener("change", changed);
      theme.disconnect();
    };
  }, []);
  return version;
}

/** Tokens of theme.css as a canvas understands them: it knows neither `var()` nor `light-dark()`. */
export function colour(token: `--${string}`, within: HTMLElement = document.body): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${token})`;
  probe.hidden = true;
  within.append(probe);
  const resolved = getComputedStyle(probe).color;
  probe.remove();
  return resolved;
}

/** Calls `told` when the colours became others: by the device, or by the appearance that was chosen. */
export function onColours(told: () => void): () => void {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const observer = new MutationObserver(told);
  dark.addEventListener("change", told);
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  return () => {
    dark.removeEventListener("change", told);
    observer.disconnect();
  };
}

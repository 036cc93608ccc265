// Ink and paper are the host's, which may change between light and dark at any time.

import { painted } from "../draw.js";

const MARKERS = { attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name", "data-theme", "theme", "class"] };

export function hostInk(root, el, changed) {
  const probe = painted(1, 1).getContext("2d", { willReadFrequently: true });
  const solid = (colour) => { probe.clearRect(0, 0, 1, 1); probe.fillStyle = colour; probe.fillRect(0, 0, 1, 1); return [...probe.getImageData(0, 0, 1, 1).data]; };
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", changed);
  const theme = new MutationObserver(() => requestAnimationFrame(changed));
  for (const node of [document.documentElement, document.body, el]) theme.observe(node, MARKERS);
  return {
    ink() {
      const { color, backgroundColor, accentColor } = getComputedStyle(root), [r, g, b] = solid(backgroundColor);
      return { dark: 0.3 * r + 0.6 * g + 0.1 * b < 128, ink: color, paper: backgroundColor, accent: accentColor };
    },
    end() { theme.disconnect(); scheme.removeEventListener("change", changed); },
  };
}

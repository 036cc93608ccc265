// Light or dark where a style sheet cannot see it: theme.css knows the markers of every host that can be seen.

const DARK = '[data-jp-theme-light="false"], .vscode-dark, .vscode-high-contrast:not(.vscode-high-contrast-light), [data-theme="dark"], html[theme="dark"], .dark';
const LIGHT = '[data-jp-theme-light="true"], .vscode-light, .vscode-high-contrast-light, [data-theme="light"], html[theme="light"], .light';

// marimo draws in a shadow tree, whose styles do not see the page around it; Colab marks a dark page and no other.
function worn(el) {
  const hidden = el.getRootNode().host;
  for (let at = hidden; at; at = at.getRootNode().host) {
    const marked = at.closest(`${DARK}, ${LIGHT}`);
    if (marked) return marked.matches(DARK) ? "dark" : "light";
  }
  if (globalThis.google?.colab) return document.documentElement.matches(DARK) ? "dark" : "light";
  return null;
}

// Mark `el` with the theme it stands in, now and whenever the page changes; returns what ends it.
export function dress(el) {
  const put = () => {
    const theme = worn(el);
    if (theme) el.setAttribute("data-theme", theme);
  };
  const watch = new MutationObserver(put);
  for (const node of [document.documentElement, document.body]) watch.observe(node, { attributes: true });
  requestAnimationFrame(put);  // a host may put `el` into the page after it is drawn
  put();
  return () => watch.disconnect();
}

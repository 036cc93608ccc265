// Small pictures that lie on sheets, tile after tile.
import { bitmap, painted } from "./draw.js";

// {sheets, tile, columns, page} of atlas.py; a sheet is opened when its first tile is asked for.
export function tilesOf({ sheets = [], tile, columns, page }) {
  const opened = [];
  return (number, attributes = {}) => {
    const canvas = painted(tile, tile, null, attributes);
    const on = Math.floor(number / page), at = number % page;
    if (sheets[on]) (opened[on] ??= bitmap(sheets[on])).then((sheet) =>
      canvas.getContext("2d").drawImage(sheet, tile * (at % columns), tile * Math.floor(at / columns), tile, tile, 0, 0, tile, tile));
    return canvas;
  };
}

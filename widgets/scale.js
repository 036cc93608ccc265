// Colours that stand for numbers, and their legend.
import { html } from "./draw.js";

// Dark to bright in even steps, told apart by every common kind of colour vision and in grey (inferno).
const STOPS = [[0, 0, 4], [27, 12, 65], [74, 12, 107], [120, 28, 109], [165, 44, 96], [207, 68, 70], [237, 105, 37], [251, 155, 6], [247, 209, 61], [252, 255, 164]];

// 256 colours from a list of stops: red, green, blue each.
export const ramp = (stops) => Array.from({ length: 256 }, (_, i) => {
  const at = (i / 255) * (stops.length - 1), low = Math.min(Math.floor(at), stops.length - 2);
  return stops[low].map((from, c) => Math.round(from + (stops[low + 1][c] - from) * (at - low)));
});
export const INFERNO = ramp(STOPS);
export const colour = (share, colours = INFERNO) => colours[Math.max(0, Math.min(255, Math.round(255 * share)))];
export const css = (rgb) => `rgb(${rgb.join(" ")})`;
export const gradient = (colours) => `linear-gradient(90deg, ${[0, 28, 57, 85, 113, 142, 170, 198, 227, 255].map((i) => css(colours[i])).join(", ")})`;

// A bar of colours with a text at each end.
export function scaleLegend(colours, name) {
  const low = html("span"), middle = html("span", {}, name), high = html("span");
  const bar = html("div", { class: "bar-of-colours", role: "img" });
  bar.style.background = gradient(colours);
  return {
    node: html("div", { class: "scale" }, bar, html("div", { class: "ends" }, low, middle, high)),
    say(least, most) {
      low.textContent = least;
      high.textContent = most;
      bar.setAttribute("aria-label", `Colour scale: ${name}, from ${least} to ${most}`);
    },
  };
}

// A picture in its own grey, so that its colours do not mix with those of a map.
export function grey(image) {
  const canvas = html("canvas", { width: image.width, height: image.height });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(image, 0, 0);
  const pixels = pen.getImageData(0, 0, image.width, image.height), { data } = pixels;
  for (let i = 0; i < data.length; i += 4) data[i] = data[i + 1] = data[i + 2] = 0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2];
  pen.putImageData(pixels, 0, 0);
  return canvas;
}

// Numbers in [0, 1], or null, as a small image of their colours.
export function coloured(width, height, shares, colours = INFERNO) {
  const canvas = html("canvas", { width, height });
  const pen = canvas.getContext("2d"), image = pen.createImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    const [r, g, b] = colour(shares[i], colours);
    image.data.set([r, g, b, 255], 4 * i);
  }
  pen.putImageData(image, 0, 0);
  return canvas;
}

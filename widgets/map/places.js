// Which points are where: a grid of cells over the map, for what is under the pointer, in sight, or in a lasso.

const CELLS = 128;

export function grid(places) {
  const n = places.length / 2;
  const cell = (i) => (places[2 * i] >> 9) + CELLS * (places[2 * i + 1] >> 9);
  const begin = new Uint32Array(CELLS * CELLS + 1), order = new Uint32Array(n);
  for (let i = 0; i < n; i++) begin[cell(i) + 1]++;
  for (let c = 0; c < CELLS * CELLS; c++) begin[c + 1] += begin[c];
  const next = begin.slice();
  for (let i = 0; i < n; i++) order[next[cell(i)]++] = i;
  const clamp = (v) => Math.min(CELLS - 1, Math.max(0, Math.floor(v * CELLS)));
  const x = (i) => places[2 * i] / 65535, y = (i) => places[2 * i + 1] / 65535;

  // act(i) for the points in a box; stops where it returns true.
  function inBox(left, low, right, high, act) {
    for (let row = clamp(low); row <= clamp(high); row++) {
      for (let column = clamp(left); column <= clamp(right); column++) {
        const c = column + CELLS * row;
        for (let j = begin[c]; j < begin[c + 1]; j++) {
          const i = order[j], px = x(i), py = y(i);
          if (px >= left && px <= right && py >= low && py <= high && act(i)) return;
        }
      }
    }
  }

  return {
    x, y,
    within(left, low, right, high, most = Infinity) {
      const found = [];
      inBox(left, low, right, high, (i) => (found.push(i), found.length >= most));
      return found;
    },
    nearest(px, py, reach) {
      let best = -1, least = reach * reach;
      inBox(px - reach, py - reach, px + reach, py + reach, (i) => {
        const far = (x(i) - px) ** 2 + (y(i) - py) ** 2;
        if (far <= least) [best, least] = [i, far];
      });
      return best;
    },
    // A closed line [[x, y], ...]: inside is where a ray crosses it an odd number of times.
    inside(line) {
      const xs = line.map((p) => p[0]), ys = line.map((p) => p[1]);
      const extent = (values, pick) => values.reduce((a, b) => pick(a, b));
      return this.within(extent(xs, Math.min), extent(ys, Math.min), extent(xs, Math.max), extent(ys, Math.max)).filter((i) => {
        const px = x(i), py = y(i);
        let odd = false;
        for (let a = 0, b = line.length - 1; a < line.length; b = a++) {
          const [ax, ay] = line[a], [bx, by] = line[b];
          if (ay > py !== by > py && px < ((bx - ax) * (py - ay)) / (by - ay) + ax) odd = !odd;
        }
        return odd;
      });
    },
  };
}

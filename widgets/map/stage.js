// The map itself: a canvas to pan, zoom and draw lassos on, by pointer and by keyboard.

import { html } from "../draw.js";
import { painter, lookup } from "./points.js";
import { grid } from "./places.js";

const CLOSEST = 400;          // times as near as the whole map
const PICTURED = 70;          // this few points in sight are shown as pictures
const REACH = 14;             // pixels from the pointer to a point
const SLOW = 40, QUICK = 22;  // milliseconds a frame may take before moving draws fewer points; and may draw more
const FEW = 40_000;           // points that are drawn at once before it is known how fast the machine is

const oneLine = (text, most) => {
  const flat = text.replace(/\s+/g, " ").trim(), letters = [...flat];
  return letters.length > most ? `${letters.slice(0, most - 1).join("")}\u2026` : flat;
};

// tell: {hover(i, spoken), select(points, how), moved(), mode(name), cluster(name)}; want: what the drawing needs to know.
export function stage(root, places, said, tell, want) {
  const n = places.length / 2;
  const base = html("canvas", { class: "base", "aria-hidden": "true" });
  const over = html("canvas", { class: "over", tabindex: 0, role: "application", "aria-roledescription": "map", "aria-label": said, "aria-describedby": want.help });
  const box = html("div", { class: "stage" }, base, over);
  const at = grid(places), dots = painter(places, () => draw());
  let [width, height, ratio] = [0, 0, 1];
  let eye = { x: 0.5, y: 0.5, k: 1 }, nearest = 1;
  let mode = "pan", drag = null, line = null, hover = -1, lines = [], byKeys = false;
  let asked = 0, hurry = false, calm = 0, marks = new Uint8Array(n), count = 0, ended = false;
  // How many points a frame draws; which part of all of them is next, of how many; whether nothing is seen yet.
  let some = Math.min(n, FEW), part = 0, parts = 1, bare = true;
  const fingers = new Map(), called = [];

  // -- where things are

  const across = (x) => width / 2 + (x - eye.x) * eye.k, down = (y) => height / 2 - (y - eye.y) * eye.k;
  const back = (px, py) => [eye.x + (px - width / 2) / eye.k, eye.y - (py - height / 2) / eye.k];
  const sight = (most) => at.within(eye.x - width / 2 / eye.k, eye.y - height / 2 / eye.k, eye.x + width / 2 / eye.k, eye.y + height / 2 / eye.k, most);
  const zoom = () => eye.k / nearest;

  function fit() {
    nearest = Math.max(1, Math.min(width, height) - 56);
    move({ x: 0.5, y: 0.5, k: nearest });
  }

  function move(to) {
    eye = { x: Math.min(1.2, Math.max(-0.2, to.x)), y: Math.min(1.2, Math.max(-0.2, to.y)), k: Math.min(CLOSEST * nearest, Math.max(0.5 * nearest, to.k)) };
    hurry = true;
    clearTimeout(calm);
    calm = setTimeout(() => { hurry = false; draw(); tell.moved(); }, 140);
    draw();
  }

  const pan = (dx, dy) => move({ ...eye, x: eye.x - dx / eye.k, y: eye.y + dy / eye.k });
  function magnify(times, px = width / 2, py = height / 2) {
    const [x, y] = back(px, py), k = Math.min(CLOSEST * nearest, Math.max(0.5 * nearest, eye.k * times));
    move({ k, x: x - (px - width / 2) / k, y: y + (py - height / 2) / k });
  }

  // Bring some points into sight.
  function show(points) {
    if (!points.length) return;
    let [left, right, low, high] = [1, 0, 1, 0];
    for (const i of points) {
      left = Math.min(left, at.x(i)); right = Math.max(right, at.x(i));
      low = Math.min(low, at.y(i)); high = Math.max(high, at.y(i));
    }
    const room = Math.max(right - left, high - low, 0.06);
    move({ x: (left + right) / 2, y: (low + high) / 2, k: (0.7 * Math.min(width, height)) / room });
  }

  // -- drawing

  const touch = () => { if (!asked && !ended) asked = requestAnimationFrame(paint); };
  const draw = () => { part = 0; touch(); };

  // The next frame comes when this one is done: late, where there was too much to draw.
  function judge(start) {
    requestAnimationFrame(() => {
      const took = performance.now() - start;
      if (took > SLOW) some = Math.max(Math.min(n, FEW / 2), Math.floor(some * Math.max(0.4, 30 / took)));
      else if (took < QUICK) some = Math.min(n, Math.ceil(some * 1.5));
    });
  }

  function paint() {
    asked = 0;
    const wide = box.clientWidth, high = box.clientHeight;
    if (!wide || !high) return;
    const sharp = Math.min(2, window.devicePixelRatio || 1);
    if (wide !== width || high !== height || sharp !== ratio) {
      const first = !width, before = eye.k / nearest;
      [width, height, ratio] = [wide, high, sharp];
      for (const canvas of [base, over]) Object.assign(canvas, { width: width * ratio, height: height * ratio });
      nearest = Math.max(1, Math.min(width, height) - 56);
      eye = first ? { x: 0.5, y: 0.5, k: nearest } : { ...eye, k: nearest * before };
      if (first) setTimeout(tell.moved);
      [bare, part] = [true, 0];
    }
    const near = n ? sight(PICTURED + 1) : [];
    const few = near.length <= PICTURED && zoom() > 1.2 || n <= 30;
    const size = Math.min(16, Math.max(1.6, 26 * Math.max(n, 1) ** -0.22) * zoom() ** 0.35);
    const alpha = Math.min(0.95, Math.max(0.22, 2.4 * Math.max(n, 1) ** -0.15) * zoom() ** 0.4);
    if (n && part < parts) {
      // While moving, as many points as the machine draws in time; at rest all of them, part by part, and seen when they are all there.
      const start = performance.now(), pen = base.getContext("2d");
      if (part === 0) parts = hurry ? n / some : Math.ceil(n / some);
      const thin = hurry && parts > 1, look = { width, height, ratio, chosen: count > 0, moving: hurry, part, parts };
      look.size = thin ? size * Math.min(1.5, parts ** 0.15) : size;
      look.alpha = thin ? 1 - (1 - alpha) ** Math.min(4, parts) : alpha;
      dots.draw(eye, look);
      part = hurry ? parts : part + 1;
      if (part >= parts) base.dataset.points = hurry ? Math.floor(n / parts) : n;
      if (bare || part >= parts) {
        pen.setTransform(ratio, 0, 0, ratio, 0, 0);
        pen.clearRect(0, 0, width, height);
        pen.drawImage(dots.sheet, 0, 0, width, height);
      }
      if (hurry || parts > 1) judge(start);
      if (part < parts) touch();
      else bare = false;
    }
    base.dataset.renderer = dots.kind;
    overlay(near, few);
  }

  function overlay(near, few) {
    const pen = over.getContext("2d"), { ink, paper, accent } = want.colours();
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.lineJoin = "round";
    const words = (text, x, y, size, weight) => {
      pen.font = `${weight} ${size}px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif`;
      pen.textAlign = "center";
      pen.lineWidth = 4;
      pen.strokeStyle = paper;
      pen.strokeText(text, x, y);
      pen.fillStyle = ink;
      pen.fillText(text, x, y);
    };
    called.length = 0;
    if (few) {
      const side = near.length < 16 ? 56 : 40;
      for (const i of near) {
        const picture = want.picture(i), x = across(at.x(i)), y = down(at.y(i));
        if (picture) {
          const [image, sx, sy, tile] = picture;
          pen.globalAlpha = count && !(marks[i] & 1) || marks[i] & 2 ? 0.5 : 1;
          pen.fillStyle = want.inkOf(i);
          pen.fillRect(x - side / 2 - 2, y - side / 2 - 2, side + 4, side + 4);
          pen.drawImage(image, sx, sy, tile, tile, x - side / 2, y - side / 2, side, side);
          pen.globalAlpha = 1;
        } else if (want.word(i)) words(oneLine(want.word(i), 24), x, y - 10, 12, 500);
      }
    } else if (want.named()) {
      const taken = [];
      for (const { name, x, y } of want.clusters()) {
        const text = oneLine(name, 26), there = across(x / 65535), py = down(y / 65535);
        const half = 4 * [...text].length + 6, px = Math.min(width - half, Math.max(half, there));
        if (there < 0 || there > width || py < 14 || py > height - 8) continue;
        // The larger cluster's name comes first: none over another, and the same one not twice in a place.
        if (taken.some(([tx, ty, th, said]) => Math.abs(tx - px) < th + half && Math.abs(ty - py) < (said === text ? 60 : 18))) continue;
        taken.push([px, py, half, text]);
        called.push({ name, px, py, half });
        words(text, px, py + 4, 12.5, 600);
      }
    }
    if (hover >= 0) {
      const x = across(at.x(hover)), y = down(at.y(hover));
      pen.strokeStyle = accent;
      pen.globalAlpha = 0.75;
      pen.lineWidth = 1.25;
      for (const j of lines) {
        pen.beginPath();
        pen.moveTo(x, y);
        pen.lineTo(across(at.x(j)), down(at.y(j)));
        pen.stroke();
      }
      pen.globalAlpha = 1;
      const ring = (j, r, w) => { pen.lineWidth = w; pen.beginPath(); pen.arc(across(at.x(j)), down(at.y(j)), r, 0, 7); pen.stroke(); };
      for (const j of lines) ring(j, 5, 1.5);
      pen.strokeStyle = ink;
      ring(hover, 8, 2);
    }
    if (byKeys) {
      pen.strokeStyle = ink;
      pen.lineWidth = 1;
      pen.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) { pen.moveTo(width / 2 + 12 * dx, height / 2 + 12 * dy); pen.lineTo(width / 2 + 20 * dx, height / 2 + 20 * dy); }
      pen.stroke();
    }
    if (line?.length > 1) {
      pen.beginPath();
      outline().forEach(([x, y], i) => (i ? pen.lineTo(across(x), down(y)) : pen.moveTo(across(x), down(y))));
      pen.closePath();
      pen.globalAlpha = 0.14;
      pen.fillStyle = accent;
      pen.fill();
      pen.globalAlpha = 1;
      pen.strokeStyle = accent;
      pen.lineWidth = 1.5;
      pen.setLineDash([5, 4]);
      pen.stroke();
      pen.setLineDash([]);
    }
  }

  // -- pointer

  const spot = (event) => { const edge = over.getBoundingClientRect(); return [event.clientX - edge.left, event.clientY - edge.top]; };
  const under = ([px, py]) => (n ? at.nearest(...back(px, py), REACH / eye.k) : -1);
  function outline() {
    if (mode !== "rectangle") return line;
    const [[ax, ay], [bx, by]] = [line[0], line[line.length - 1]];
    return [[ax, ay], [bx, ay], [bx, by], [ax, by]];
  }
  const how = (event) => (event.altKey ? "less" : event.shiftKey || event.ctrlKey || event.metaKey ? "more" : "new");

  function point(i, spoken = false) {
    if (i === hover && !spoken) return;
    hover = i;
    lines = [];
    tell.hover(i, spoken);
    touch();
  }

  const named = ([px, py]) => called.find((one) => Math.abs(px - one.px) < one.half && Math.abs(py - one.py) < 11)?.name;

  // Two fingers: what lies under them stays under them.
  function pinch() {
    const [a, b] = fingers.values(), old = drag.two;
    drag.two = { x: (a[0] + b[0]) / 2, y: (a[1] + b[1]) / 2, far: Math.max(10, Math.hypot(a[0] - b[0], a[1] - b[1])) };
    if (!old) return;
    pan(drag.two.x - old.x, drag.two.y - old.y);
    magnify(drag.two.far / old.far, drag.two.x, drag.two.y);
  }

  function lift(event) {
    const was = fingers.size;
    fingers.delete(event.pointerId);
    if (was < 2 || !fingers.size) return was > 1;
    const [px] = fingers.values();  // one is left, and goes on as if it moved the map
    drag = { px, from: px, far: Infinity };
    return true;
  }

  const acts = {
    pointerdown(event) {
      if (event.button > 0) return;
      over.setPointerCapture(event.pointerId);
      byKeys = false;
      const px = spot(event);
      fingers.set(event.pointerId, px);
      drag = { px, from: px, far: 0 };
      line = null;
      if (fingers.size === 2) { drag.far = Infinity; point(-1); pinch(); }
      else if (fingers.size === 1 && mode !== "pan") line = [back(...px)];
    },
    pointermove(event) {
      const px = spot(event);
      if (!drag) { over.toggleAttribute("data-named", Boolean(named(px))); return point(under(px)); }
      if (fingers.has(event.pointerId)) fingers.set(event.pointerId, px);
      if (fingers.size > 1) return fingers.size === 2 && pinch();
      drag.far = Math.max(drag.far, Math.hypot(px[0] - drag.from[0], px[1] - drag.from[1]));
      if (line) { line.push(back(...px)); touch(); }
      else if (drag.far > 3) { point(-1); pan(px[0] - drag.px[0], px[1] - drag.px[1]); }
      drag.px = px;
    },
    pointerup(event) {
      if (lift(event)) return;
      const done = drag, drawn = line;
      const round = drawn && outline();
      drag = line = null;
      if (!done) return;
      if (drawn && done.far > 3) tell.select(at.inside(round), how(event));
      else if (done.far <= 3) {
        const name = named(spot(event)), i = under(spot(event));
        if (name) tell.cluster(name, how(event));
        else tell.select(i < 0 ? [] : [i], how(event), i);
      }
      touch();
    },
    pointercancel(event) { if (!lift(event)) drag = line = null; touch(); },
    pointerleave() { if (!drag) point(-1); },
    wheel(event) {
      event.preventDefault();
      magnify(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0018)), ...spot(event));
    },
    dblclick(event) { magnify(2.2, ...spot(event)); },
    blur() { byKeys = false; touch(); },
  };
  for (const [name, act] of Object.entries(acts)) over.addEventListener(name, act, { passive: false });

  function keys(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return false;
    const step = 60;
    const doing = {
      ArrowLeft: () => pan(step, 0), ArrowRight: () => pan(-step, 0), ArrowUp: () => pan(0, step), ArrowDown: () => pan(0, -step),
      "+": () => magnify(1.5), "=": () => magnify(1.5), "-": () => magnify(1 / 1.5), _: () => magnify(1 / 1.5), 0: fit,
    }[event.key];
    if (doing) {
      doing();
      byKeys = true;
      point(n ? at.nearest(eye.x, eye.y, 60 / eye.k) : -1, true);
      return true;
    }
    if (event.key === "Enter" && hover >= 0) return tell.select([hover], how(event), hover), true;
    return false;
  }

  const watch = new ResizeObserver(draw);
  watch.observe(box);
  return {
    box, over, draw: touch, fit, show, keys, magnify, sight,
    get hover() { return hover; },
    get zoom() { return zoom(); },
    place: (i) => [across(at.x(i)), down(at.y(i)), width, height],
    lines: (points) => { lines = points; touch(); },
    point,
    mode: (name) => { mode = name; over.dataset.mode = name; tell.mode(name); },
    cancel: () => { const busy = Boolean(line); drag = line = null; touch(); return busy; },
    code: (codes) => { dots.code(codes); draw(); },
    table: (palette, number) => { dots.table(lookup(palette, number)); draw(); },
    mark: (fresh, chosen) => { marks = fresh; count = chosen; dots.mark(fresh); draw(); },
    end: () => { ended = true; watch.disconnect(); cancelAnimationFrame(asked); clearTimeout(calm); dots.lose(); },
  };
}

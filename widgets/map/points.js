// Draws many dots: with WebGL2 in one call, or with a 2D canvas where WebGL is missing or was lost.
// Positions are in [0, 1], y upwards; a camera {x, y, k} puts (x, y) in the middle, k pixels a unit.

const VERTEX = `#version 300 es
in vec2 at; in uint code; in uint mark;
uniform vec2 scale, shift; uniform float size, alpha; uniform bool only, dimmed; uniform sampler2D table;
out vec4 ink; out float wide;
void main() {
  bool chosen = (mark & 1u) != 0u;
  gl_Position = vec4(at * scale + shift, 0.0, 1.0);
  if (only != chosen && only) gl_Position = vec4(4.0, 4.0, 4.0, 1.0);
  ink = texelFetch(table, ivec2(int(code), 0), 0);
  float clear = alpha;
  if (dimmed && !chosen) clear *= 0.22;
  if ((mark & 2u) != 0u && !chosen) clear *= 0.12;
  if (only) clear = 1.0;
  wide = only ? size * 1.35 + 1.0 : size;
  ink = vec4(ink.rgb * clear, clear);
  gl_PointSize = wide + 1.0;
}`;
const FRAGMENT = `#version 300 es
precision mediump float;
in vec4 ink; in float wide; out vec4 colour;
void main() {
  float edge = clamp(wide * 0.5 + 0.5 - length(gl_PointCoord - 0.5) * (wide + 1.0), 0.0, 1.0);
  if (edge <= 0.0) discard;
  colour = ink * edge;
}`;

// 256 colours as bytes: categories, "none" for the rest; or a ramp of 255 steps and none.
export function lookup({ categories, none, ramp }, number) {
  const rgb = (text) => [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16));
  const table = new Uint8Array(256 * 4);
  for (let code = 0; code < 256; code++) {
    let colour = rgb(code < categories.length && !number ? categories[code] : none);
    if (number && code < 255) {
      const place = (code / 254) * (ramp.length - 1), first = Math.min(ramp.length - 2, Math.floor(place));
      const [one, two] = [rgb(ramp[first]), rgb(ramp[first + 1])];
      colour = one.map((v, i) => Math.round(v + (two[i] - v) * (place - first)));
    }
    table.set([...colour, 255], 4 * code);
  }
  return table;
}

function glPainter(places) {
  const sheet = document.createElement("canvas");
  // A part of the points is added to those of earlier frames, which are kept.
  const gl = sheet.getContext("webgl2", { antialias: false, alpha: true, premultipliedAlpha: true, preserveDrawingBuffer: true });
  if (!gl) return null;
  const program = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) return null;
  gl.useProgram(program);
  const where = (name) => gl.getUniformLocation(program, name);
  const uniforms = Object.fromEntries(["scale", "shift", "size", "alpha", "only", "dimmed"].map((name) => [name, where(name)]));
  const buffer = (name, data, hint, point) => {
    const slot = gl.getAttribLocation(program, name), held = gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, held);
    gl.bufferData(gl.ARRAY_BUFFER, data, hint);
    gl.enableVertexAttribArray(slot);
    point(slot);
    return (fresh) => (gl.bindBuffer(gl.ARRAY_BUFFER, held), gl.bufferSubData(gl.ARRAY_BUFFER, 0, fresh));
  };
  const n = places.length / 2, bytes = (slot) => gl.vertexAttribIPointer(slot, 1, gl.UNSIGNED_BYTE, 0, 0);
  buffer("at", places, gl.STATIC_DRAW, (slot) => gl.vertexAttribPointer(slot, 2, gl.UNSIGNED_SHORT, true, 0, 0));
  const code = buffer("code", new Uint8Array(n), gl.DYNAMIC_DRAW, bytes);
  const mark = buffer("mark", new Uint8Array(n), gl.DYNAMIC_DRAW, bytes);
  let selected = 0;
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
  const pick = (marks) => {
    const own = new Uint32Array(marks.reduce((sum, one) => sum + (one & 1), 0));
    selected = 0;
    marks.forEach((one, i) => one & 1 && (own[selected++] = i));
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, own, gl.DYNAMIC_DRAW);
  };
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  for (const side of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, side, gl.NEAREST);
  gl.enable(gl.BLEND);
  gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  return {
    kind: "webgl2", sheet,
    lost: (act) => sheet.addEventListener("webglcontextlost", (event) => (event.preventDefault(), act())),
    back: (act) => sheet.addEventListener("webglcontextrestored", act),
    lose: () => gl.getExtension("WEBGL_lose_context")?.loseContext(),
    code,
    mark: (fresh) => (mark(fresh), pick(fresh)),
    table: (bytes256) => gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, bytes256),
    draw({ x, y, k }, { width, height, ratio, size, alpha, chosen, moving, part, parts }) {
      const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
      const first = Math.floor((n * part) / parts), last = Math.min(n, Math.floor((n * (part + 1)) / parts));
      if (sheet.width !== w || sheet.height !== h) Object.assign(sheet, { width: w, height: h });
      gl.viewport(0, 0, w, h);
      gl.clearColor(0, 0, 0, 0);
      if (part === 0) gl.clear(gl.COLOR_BUFFER_BIT);
      gl.uniform2f(uniforms.scale, (2 * k) / width, (2 * k) / height);
      gl.uniform2f(uniforms.shift, (-2 * k * x) / width, (-2 * k * y) / height);
      gl.uniform1f(uniforms.size, size * ratio);
      gl.uniform1f(uniforms.alpha, alpha);
      gl.uniform1i(uniforms.dimmed, chosen ? 1 : 0);
      gl.uniform1i(uniforms.only, 0);
      gl.drawArrays(gl.POINTS, first, last - first);
      if (chosen && (moving || last === n)) {  // what is selected lies on top
        gl.uniform1i(uniforms.only, 1);
        gl.drawElements(gl.POINTS, moving ? Math.min(selected, last) : selected, gl.UNSIGNED_INT, 0);
      }
    },
  };
}

function flatPainter(places) {
  const n = places.length / 2;
  const sheet = document.createElement("canvas"), pen = sheet.getContext("2d");
  let codes = new Uint8Array(n), marks = new Uint8Array(n), table = new Uint8Array(1024), order = null;
  const sorted = () => order ??= Uint32Array.from({ length: n }, (_, i) => i).sort((a, b) => codes[a] - codes[b]);
  return {
    kind: "canvas", sheet,
    lost() {}, back() {}, lose() {},
    code: (fresh) => ((codes = fresh), (order = null)),
    mark: (fresh) => (marks = fresh),
    table: (fresh) => (table = fresh),
    draw({ x, y, k }, { width, height, ratio, size, alpha, chosen, moving, part, parts }) {
      const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
      if (sheet.width !== w || sheet.height !== h) Object.assign(sheet, { width: w, height: h });
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      if (part === 0) pen.clearRect(0, 0, width, height);
      for (const only of chosen && (moving || part + 1 >= parts) ? [false, true] : [false]) {
        const r = only ? size * 0.7 + 0.5 : size / 2;
        let before = -1;
        for (let j = only ? 0 : part; j < n; j += only ? 1 : Math.ceil(parts)) {
          const i = sorted()[j], own = (marks[i] & 1) !== 0;
          if (only && !own) continue;
          const left = width / 2 + (places[2 * i] / 65535 - x) * k, top = height / 2 - (places[2 * i + 1] / 65535 - y) * k;
          if (left < -r || top < -r || left > width + r || top > height + r) continue;
          const style = codes[i] * 4 + (own ? 3 : marks[i] & 2 ? 1 : 0);
          if (style !== before) {
            pen.fillStyle = `rgb(${table.subarray(4 * codes[i], 4 * codes[i] + 3).join(" ")})`;
            pen.globalAlpha = only ? 1 : alpha * (chosen && !own ? 0.22 : 1) * (marks[i] & 2 && !own ? 0.12 : 1);
            before = style;
          }
          if (r < 1.6) pen.fillRect(left - r, top - r, 2 * r, 2 * r);
          else pen.fill(new Path2D(`M${left - r} ${top}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`));
        }
      }
      pen.globalAlpha = 1;
    },
  };
}

// The painter of a map. It remembers what it was given, so that a lost context can be replaced.
export function painter(places, changed) {
  const n = places.length / 2;
  const given = { code: new Uint8Array(n), mark: new Uint8Array(n), table: new Uint8Array(1024) };
  // Points come in the order of the data: to draw a part of them while moving, they are mixed.
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1, seed = 1; i > 0; i--) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    const j = seed % (i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  const mixed = (values) => { const out = new Uint8Array(n); for (let i = 0; i < n; i++) out[i] = values[order[i]]; return out; };
  const where = new Uint16Array(2 * n);
  for (let i = 0; i < n; i++) where.set([places[2 * order[i]], places[2 * order[i] + 1]], 2 * i);
  let brush;
  const refill = () => { for (const name of ["table", "code", "mark"]) brush[name](given[name]); };
  const begin = (make) => {
    brush = make(where);
    if (!brush) return begin(flatPainter);
    brush.lost(() => (begin(flatPainter), changed()));
    refill();
  };
  begin(n ? glPainter : flatPainter);
  const put = (name, values) => { given[name] = values; brush[name](values); };
  return {
    get kind() { return brush.kind; },
    get sheet() { return brush.sheet; },
    code: (values) => put("code", mixed(values)),
    mark: (values) => put("mark", mixed(values)),
    table: (values) => put("table", values),
    draw: (...all) => brush.draw(...all),
    lose: () => brush.lose(),
  };
}

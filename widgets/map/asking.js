// Questions that the page does not answer from what it has: the kernel answers them, or the archive of a saved page.

const view = (data, Kind) => {
  if (!data) return new Kind(0);
  const { buffer, byteOffset = 0, byteLength } = data.buffer ? data : { buffer: data, byteLength: data.byteLength };
  return new Kind(buffer.slice(byteOffset, byteOffset + byteLength));
};
export const bytes = (data) => view(data, Uint8Array);
export const shorts = (data) => view(data, Uint16Array);
export const longs = (data) => view(data, Uint32Array);

const PATIENCE = 10000;
const SILENT = "The kernel does not answer: it is busy, or it has stopped. What is on the map stays.";

export function asker(model) {
  const waiting = new Map();
  let number = 0;
  const heard = (message, buffers) => {
    if (message?.kind !== "answer" || !waiting.has(message.to)) return;
    const { done, fail, clock } = waiting.get(message.to);
    waiting.delete(message.to);
    clearTimeout(clock);
    if (message.error) fail(new Error(message.error));
    else done([message, buffers ?? []]);
  };
  model.on("msg:custom", heard);
  const kernel = (kind, body = {}, buffers = []) => new Promise((done, fail) => {
    const to = ++number;
    const clock = setTimeout(() => (waiting.delete(to), fail(new Error(SILENT))), PATIENCE);
    waiting.set(to, { done, fail, clock });
    try {
      model.send({ ...body, kind, to }, undefined, buffers);
    } catch {
      fail(new Error(SILENT));
    }
  });
  const end = () => {
    model.off("msg:custom", heard);
    for (const { clock } of waiting.values()) clearTimeout(clock);
    waiting.clear();
  };
  return { ask: model.get("offline") ? archived(model.get("archive"), model.get("clusters")) : kernel, end };
}

function archived(archive, clusters) {
  const near = longs(archive.near), hits = longs(archive.hits), tiles = longs(archive.tiles);
  const marks = bytes(archive.marks), grouped = shorts(archive.grouped), wide = marks.length / Math.max(1, tiles.length);
  const mark = (i) => [...marks.subarray(wide * i, wide * (i + 1))].map((one) => one.toString(16).padStart(2, "0")).join("");
  const units = new Map(Object.entries(archive.units)), unitAt = new Map([...units].map(([id, point]) => [point, id]));
  const slot = new Map([...tiles].map((point, i) => [point, i]));
  const done = [], undone = [];
  for (const [label, points] of archive.labels) done.push([label, longs(points)]);
  const name = (i) => archive.names[i] ?? archive.ids[i];
  const kind = (i) => archive.kinds[archive.kinds.length > 1 ? i : 0];
  const given = () => {
    const found = new Map();
    for (const [label, points] of done) {
      const own = found.get(label) ?? new Set();
      points.forEach((i) => own.add(i));
      found.set(label, own);
    }
    return found;
  };
  const told = () => ({ given: { labels: [...given()].map(([label, own]) => [label, own.size]), undo: done.length > 0, redo: undone.length > 0 } });
  const answers = {
    rows: ({ points }) => ({ rows: points.map((i) => ({ id: archive.ids[i], kind: kind(i), name: name(i) })) }),
    near({ point }) {
      const points = [...near.subarray(archive.k * point, archive.k * (point + 1))];
      return { points, names: points.map(name) };
    },
    pictures: ({ points }) => ({ points: points.filter((i) => slot.has(i)), slot, sheets: archive.sheets, page: archive.page, tile: archive.tile, columns: archive.columns }),
    search({ text }) {
      const wanted = text.trim().toLocaleLowerCase();
      if (!wanted) throw new Error("Type what to search for.");
      const word = archive.words.findIndex((own) => own.toLocaleLowerCase() === wanted);
      if (word >= 0) return { points: [...hits.subarray(archive.each * word, archive.each * (word + 1))], by: "meaning" };
      const points = [];
      for (let i = 0; i < archive.ids.length && points.length < 60; i++) if (name(i).toLocaleLowerCase().includes(wanted)) points.push(i);
      if (points.length) return { points, by: "name" };
      const close = archive.words.filter((own) => own.toLocaleLowerCase().startsWith(wanted.slice(0, 3))).slice(0, 4);
      throw new Error(`This saved page knows ${archive.words.length} words, and \u201c${text}\u201d is not among them.` + (close.length ? ` There are: ${close.join(", ")}.` : ""));
    },
    label({ label }, [points]) { done.push([label, longs(points)]); undone.length = 0; return told(); },
    labelled: ({ label }) => ({ own: Uint32Array.from(given().get(label) ?? []) }),
    undo() { if (done.length) undone.push(done.pop()); return told(); },
    redo() { if (undone.length) done.push(undone.pop()); return told(); },
    moved: () => ({ own: archive.moved }),
    find({ what, id }) {
      const tile = what === "image" ? tiles.findIndex((_, i) => mark(i) === id) : -1;
      const named = what === "unit" ? units.get(id) ?? -1 : tile < 0 ? -1 : tiles[tile];
      // Whatever has no other name is called by its id.
      return { point: named >= 0 || what === "unit" ? named : archive.ids.findIndex((own, i) => own === id && kind(i) === what && !slot.has(i)) };
    },
    link: ({ point }) => ({ what: kind(point), id: slot.has(point) ? mark(slot.get(point)) : unitAt.get(point) ?? archive.ids[point] }),
    cluster({ name }) {
      const own = new Set(clusters.flatMap((one, i) => (one.name === name ? [i] : [])));
      return { own: Uint32Array.from([...grouped.keys()].filter((i) => own.has(grouped[i]))) };
    },
    csv() {
      const cell = (text) => `"${String(text).replaceAll('"', '""')}"`;
      const rows = [...given()].flatMap(([label, own]) => [...own].map((i) => [i, archive.ids[i], label]));
      return { text: ["point,id,label", ...rows.sort((a, b) => a[0] - b[0]).map(([i, id, label]) => `${i},${cell(id)},${cell(label)}`), ""].join("\r\n") };
    },
  };
  return async (kind, body = {}, buffers = []) => [answers[kind](body, buffers), []];
}

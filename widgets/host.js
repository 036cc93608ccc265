// Views without a kernel: what anywidget asks of a Jupyter front end, on top of one compressed block of data.
// Stands after `place`, the id of the element that they are drawn in, and `modules`, a function for each ES module.
{
  const unpack = async (text) => {
    const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const data = await new Response(stream).arrayBuffer();
    const size = new DataView(data).getUint32(0, true);
    const start = 4 + size;
    // {"$bytes": [offset, length]} stands for binary data, as a DataView: what a Jupyter front end hands over.
    const revive = (_, value) =>
      value?.$bytes ? new DataView(data, start + value.$bytes[0], value.$bytes[1]) : value;
    return JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, size)), revive);
  };

  // `answers` plays the kernel: for each trait that asks and each of its values, the traits that answer it.
  const hosted = ({ state, answers }) => {
    const listeners = {};
    const changed = new Set();
    const set = (name, value) => {
      if (state[name] === value) return;
      state[name] = value;
      changed.add(name);
    };
    const key = (value) => (typeof value === "string" ? value : JSON.stringify(value));
    const tell = () => {
      const names = [...changed];
      changed.clear();
      for (const name of names) for (const act of [...(listeners[`change:${name}`] ?? [])]) act();
    };
    return {
      get: (name) => state[name],
      set: (name, value) => (typeof name === "string" ? set(name, value) : Object.entries(name).forEach(([n, v]) => set(n, v))),
      save_changes() {
        for (const asks of [...changed]) for (const [name, value] of Object.entries(answers[asks]?.[key(state[asks])] ?? {})) set(name, value);
        tell();
      },
      on: (event, act) => void (listeners[event] ??= []).push(act),
      off: (event, act) => void (listeners[event] = (listeners[event] ?? []).filter((known) => known !== act)),
      send() {},
    };
  };

  const host = document.getElementById(place);
  try {
    const { views } = await unpack(document.getElementById(`${place}-data`).textContent);
    const made = modules.map((module) => module());
    host.replaceChildren(...views.map(() => document.createElement("div")));
    views.forEach((view, i) => made[view.module].render({ model: hosted(view), el: host.children[i] }));
  } catch (problem) {
    host.textContent = `This page could not be opened: ${problem.message}`;
    throw problem;
  }
}

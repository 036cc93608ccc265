// A widget without a kernel: what anywidget asks of a Jupyter front end, on top of one compressed block of data.
// Stands after the widget's own module in the same script, and calls its `render`.
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

  // `answers` plays the kernel: for each value of the trait `asks`, the traits that answer it.
  const hosted = ({ state, asks, answers }) => {
    const listeners = {};
    const changed = new Set();
    const set = (name, value) => {
      if (state[name] === value) return;
      state[name] = value;
      changed.add(name);
    };
    const tell = () => {
      const names = [...changed];
      changed.clear();
      for (const name of names) for (const act of [...(listeners[`change:${name}`] ?? [])]) act();
    };
    return {
      get: (name) => state[name],
      set: (name, value) => (typeof name === "string" ? set(name, value) : Object.entries(name).forEach(([n, v]) => set(n, v))),
      save_changes() {
        if (changed.has(asks)) for (const [name, value] of Object.entries(answers[state[asks]] ?? {})) set(name, value);
        tell();
      },
      on: (event, act) => void (listeners[event] ??= []).push(act),
      off: (event, act) => void (listeners[event] = (listeners[event] ?? []).filter((known) => known !== act)),
      send() {},
    };
  };

  const el = document.getElementById("lens");
  try {
    render({ model: hosted(await unpack(document.getElementById("lens-data").textContent)), el });
  } catch (problem) {
    el.textContent = `This page could not be opened: ${problem.message}`;
    throw problem;
  }
}

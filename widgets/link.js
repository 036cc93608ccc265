// Views that stand in one page tell each other what was chosen, in the browser: a kernel is not needed, and not asked.
// An id means the same in every view:
//   unit      "image.layer4.1/17": link.py's name of its place, and its number
//   site      "image.layer4.1": the same without a number
//   image     link.py's name of what a model sees of it
//   text      the text itself
//   token     a place of a picture, "IMAGE@row,column/rows,columns", or a word, "TEXT@number:word"
//   cluster   its name
// origin: whoever chose, who is not told again.
export const choose = (origin, kind, id) =>
  window.dispatchEvent(new CustomEvent("lens:choose", { detail: { origin, kind, id } }));

// act(id) for every choice of this kind made elsewhere; returns what ends it.
export const whenChosen = (origin, kind, act) => {
  const hear = ({ detail }) => detail.kind === kind && detail.origin !== origin && act(detail.id);
  window.addEventListener("lens:choose", hear);
  return () => window.removeEventListener("lens:choose", hear);
};

export const placeIn = (picture, row, column, rows, columns) => `${picture}@${row},${column}/${rows},${columns}`;
export const wordIn = (text, number, word) => `${text}@${number}:${word}`;

// {owner, place: [row, column, rows, columns]} or {owner, number, word} of a token.
export function tokenOf(id) {
  const place = id.match(/^([^@]*)@(\d+),(\d+)\/(\d+),(\d+)$/);
  if (place) return { owner: place[1], place: place.slice(2).map(Number) };
  const word = id.match(/^(.*)@(\d+):(.*)$/s);
  return word && { owner: word[1], number: Number(word[2]), word: word[3] };
}

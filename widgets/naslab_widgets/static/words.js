// What the evaluations of a search are called, the same everywhere: a candidate that is trained on has several.

export function ordinal(count) {
  const teen = count % 100 > 10 && count % 100 < 14;
  return `${count}${(!teen && ["", "st", "nd", "rd"][count % 10]) || "th"}`;
}

// "evaluation 30"; of a training that goes on with an earlier one "evaluation 35: candidate 33, 2nd training".
export function called({ number, candidate, stage }) {
  return `evaluation ${number}` + (stage > 0 ? `: candidate ${candidate}, ${ordinal(stage + 1)} training` : "");
}

// Of a row of the trials, whose columns stand in C.
export const calledRow = (row, C) => called({ number: row[C.number], candidate: row[C.candidate], stage: row[C.stage] });

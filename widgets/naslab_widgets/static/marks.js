// The marks on a time bar: grouped where they would overlap, and found under the pointer.

/** @import { Mark, PlacedMark } from "./types.js" */

/**
 * Groups marks of one kind that would be drawn less than `apart` pixels from one another, so that their number is bounded by
 * the width of the bar.
 * @param {Mark[]} marks
 * @param {(place: number) => number} across
 * @param {number} [apart]
 * @returns {PlacedMark[]}
 */
export function placedMarks(marks, across, apart = 7) {
  const open = new Map(); // kind -> its last group, which the next mark may join
  const placed = [];
  for (const [place, kind, sentence] of marks) {
    const x = across(place);
    const group = open.get(kind);
    if (group && x - group.x < apart) {
      group.count += 1;
      if (group.sentences.length < 6) group.sentences.push(sentence);
      continue;
    }
    const fresh = { x, place, kind, count: 1, sentences: [sentence] };
    open.set(kind, fresh);
    placed.push(fresh);
  }
  return placed;
}

/**
 * The mark nearest to the pointer, at most `reach` pixels away.
 * @template {{x: number}} M
 * @param {M[]} placed
 * @param {number} x
 * @param {number} [reach]
 * @returns {M | null}
 */
export function markUnder(placed, x, reach = 6) {
  let found = null;
  for (const mark of placed) if (Math.abs(mark.x - x) <= reach && (!found || Math.abs(mark.x - x) < Math.abs(found.x - x))) found = mark;
  return found;
}

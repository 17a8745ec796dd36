// Moments: the steps that the panel can look back to, and where keys and clicks lead among them.

/**
 * A step as a moment: a whole number that has been done; null (now) for the last one.
 * @param {number} step
 * @param {number} last
 * @param {number} [first]
 * @returns {number | null}
 */
export function momentOf(step, last, first = 1) {
  const whole = Math.max(first, Math.round(step));
  return whole >= last ? null : whole;
}

/**
 * The place that a key leads to: null for now, undefined for a key that the bar does not use. `move` advances by a number of
 * steps where steps are not consecutive numbers.
 * @param {{key: string, shiftKey?: boolean}} event
 * @param {{at: number | null, first: number, last: number, marks: number[], move?: (place: number, by: number) => number}} bar
 * @returns {number | null | undefined}
 */
export function placeByKey({ key, shiftKey = false }, { at, first, last, marks, move = (place, by) => place + by }) {
  const from = at ?? last;
  /** @type {(place: number) => number | null} */
  const to = (place) => (place >= last ? null : Math.max(first, place));
  const far = shiftKey ? 10 : 1;
  switch (key) {
    case "ArrowLeft":
    case "ArrowDown":
      return to(move(from, -far));
    case "ArrowRight":
    case "ArrowUp":
      return at === null ? null : to(move(from, far));
    case "PageDown":
      return to(move(from, -10));
    case "PageUp":
      return at === null ? null : to(move(from, 10));
    case "Home":
      return to(first);
    case "End":
      return null;
    case "[":
      return to(Math.max(first, ...marks.filter((mark) => mark < from)));
    case "]":
      return to(Math.min(last, ...marks.filter((mark) => mark > from)));
    case "Escape":
      return at === null ? undefined : null;
    default:
      return undefined;
  }
}

/**
 * How many of the sorted places lie before one or, with `also`, up to it (binary search).
 * @param {number[]} places
 * @param {number} place
 * @param {boolean} also
 * @returns {number}
 */
function countBefore(places, place, also) {
  let [low, high] = [0, places.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (also ? places[middle] <= place : places[middle] < place) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * The place `by` places after (or before) one, among several sorted lists: for axes without consecutive numbers.
 * @param {number[][]} lists
 * @param {number} place
 * @param {number} by
 * @returns {number}
 */
export function placeAmong(lists, place, by) {
  const count = Math.abs(by);
  const ahead = lists.flatMap((places) => {
    const at = countBefore(places, place, by > 0);
    return by > 0 ? places.slice(at, at + count) : places.slice(Math.max(0, at - count), at);
  });
  const order = [...new Set(ahead)].sort((a, b) => (by > 0 ? a - b : b - a));
  return order[Math.min(count, order.length) - 1] ?? place;
}

/**
 * The place in several sorted lists that is nearest to a given one.
 * @param {number[][]} lists
 * @param {number} place
 * @returns {number}
 */
export function nearestAmong(lists, place) {
  let found = null;
  for (const places of lists) {
    const at = countBefore(places, place, false);
    for (const near of places.slice(Math.max(0, at - 1), at + 1)) if (found === null || Math.abs(near - place) < Math.abs(found - place)) found = near;
  }
  return found ?? place;
}

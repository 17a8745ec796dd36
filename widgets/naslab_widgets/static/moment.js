// The moment that one looks back to: a step, or null for now. What follows from it without drawing anything.

import { nearestRow } from "./shared.js";

export const VIOLET = ["#7c3aed", "#b197fc"]; // of all that tells of looking back; nothing else has this colour

// A step as a moment: whole, one that is done, and now where it is the last one.
export function momentOf(step, last, first = 1) {
  const whole = Math.max(first, Math.round(step));
  return whole >= last ? null : whole;
}

// Where a key leads to, among places from first to last, with marks at some: a place, null for now, undefined for a key
// that is none of the bar's. `move` goes so many steps on, where they are not numbers one after the other.
export function placeByKey({ key, shiftKey = false }, { at, first, last, marks, move = (place, by) => place + by }) {
  const from = at ?? last;
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

// How many of the places, which are in order, lie before one, or with `also` up to it.
function countBefore(places, place, also) {
  let [low, high] = [0, places.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (also ? places[middle] <= place : places[middle] < place) low = middle + 1;
    else high = middle;
  }
  return low;
}

// So many places on from one, or back from it, among those of several lists that are in order each: for axes on which
// what is next is no number further on.
export function placeAmong(lists, place, by) {
  const count = Math.abs(by);
  const ahead = lists.flatMap((places) => {
    const at = countBefore(places, place, by > 0);
    return by > 0 ? places.slice(at, at + count) : places.slice(Math.max(0, at - count), at);
  });
  const order = [...new Set(ahead)].sort((a, b) => (by > 0 ? a - b : b - a));
  return order[Math.min(count, order.length) - 1] ?? place;
}

// The place of several lists that is nearest to one.
export function nearestAmong(lists, place) {
  let found = null;
  for (const places of lists) {
    const at = countBefore(places, place, false);
    for (const near of places.slice(Math.max(0, at - 1), at + 1)) if (found === null || Math.abs(near - place) < Math.abs(found - place)) found = near;
  }
  return found ?? place;
}

// Marks [place, kind, sentence] by where they are drawn: those of a kind that would lie on one another are one. However
// many there are, no more come out than there is room for.
export function placedMarks(marks, across, apart = 7) {
  const open = new Map(); // kind -> the group that the next of its kind may join
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

// The mark under the pointer, at most so many pixels away.
export function markUnder(placed, x, reach = 6) {
  let found = null;
  for (const mark of placed) if (Math.abs(mark.x - x) <= reach && (!found || Math.abs(mark.x - x) < Math.abs(found.x - x))) found = mark;
  return found;
}

// The row of a moment: of all that are known the nearest, be it among those that the page keeps or those around the moment
// that Python was asked for. Now: the last.
export function momentRow(rows, near, at) {
  if (!rows.length) return undefined;
  if (at === null) return rows[rows.length - 1];
  const kept = nearestRow(rows, at);
  if (kept[0] === at || !near.length) return kept;
  const asked = nearestRow(near, at);
  return Math.abs(asked[0] - at) < Math.abs(kept[0] - at) ? asked : kept;
}

// The rows up to a moment; they are in order.
export function rowsUntil(rows, at, column = 0) {
  if (at === null) return rows;
  let [low, high] = [0, rows.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle][column] <= at) low = middle + 1;
    else high = middle;
  }
  return rows.slice(0, low);
}

// The lines of the log as they stood: the last of what was said up to then.
export function logAt({ log, marks }, at, most = 4) {
  if (at === null) return log;
  const lines = log.filter(({ step }) => step <= at);
  const known = new Set(lines.map(({ step, text }) => `${step} ${text}`));
  const more = (marks || []).filter(([step, text]) => step <= at && !known.has(`${step} ${text}`));
  return [...more.map(([step, text]) => ({ step, text })), ...lines].sort((a, b) => a.step - b.step).slice(-most);
}

// Asks once the moment has rested so long, and not again for the same one.
export function whenAtRest(ask, rest = 150) {
  let [timer, waiting, asked] = [null, null, null];
  return {
    at(moment, wanted) {
      if (!wanted || moment === null) {
        clearTimeout(timer);
        [waiting, asked] = [null, null];
        return;
      }
      if (moment === waiting || moment === asked) return;
      clearTimeout(timer);
      waiting = moment;
      timer = setTimeout(() => {
        [asked, waiting] = [moment, null];
        ask(moment);
      }, rest);
    },
    close: () => clearTimeout(timer),
  };
}

// One line through a chart at the moment that one looks back to.
export function cursorLine(pen, x, top, bottom, theme) {
  pen.save();
  pen.setLineDash([]);
  pen.globalAlpha = 1;
  pen.fillStyle = VIOLET[theme.dark ? 1 : 0];
  pen.fillRect(Math.round(x) - 0.75, top, 1.5, bottom - top);
  pen.restore();
}

// What several searches keep differently.

/** @import { CompareState, Part, Row, Track } from "./types.js" */

/**
 * The other searches whose cells can be compared with this one's.
 * @param {number} place
 * @param {Pick<Track, "kin">[]} tracks
 * @returns {number[]}
 */
export const comparable = (place, tracks) => tracks.map((_, j) => j).filter((j) => j !== place && tracks[j].kin === tracks[place].kin);

/**
 * The number of the cell that a search shows, -1 for none.
 * @param {number} place
 * @param {Track[]} tracks
 * @param {Pick<CompareState, "tracks">} state
 * @returns {number}
 */
export function cellNumber(place, tracks, state) {
  const rows = state.tracks[place].shown;
  return rows.length ? rows[rows.length - 1][tracks[place].columns.cell] : -1;
}

/**
 * The differences worth a mark: all of them with one other search; with several, only what two of them agree on, since
 * early in a search nearly every edge differs from some other.
 * @param {string} mine
 * @param {[name: string, kept: string][]} theirs
 * @returns {[name: string, kept: string][]}
 */
export function markedDifferences(mine, theirs) {
  const different = theirs.filter(([, kept]) => kept !== mine);
  if (theirs.length < 2) return different;
  return different.filter(([, kept]) => different.filter(([, other]) => other === kept).length > 1);
}

/**
 * For each part and edge, the marked differences; and a summary in words.
 * @param {number} place
 * @param {Track[]} tracks
 * @param {Pick<CompareState, "tracks">} state
 * @returns {{otherwise: Record<string, string[][]>, summary: string}}
 */
export function difference(place, tracks, state) {
  const track = tracks[place];
  const mine = state.tracks[place].shown.at(-1);
  const others = comparable(place, tracks).filter((j) => state.tracks[j].shown.length);
  const counts = others.map(() => 0);
  /** @type {(j: number, row: Row, part: Part, edge: number) => string} */
  const keptBy = (j, row, part, edge) => {
    const at = /** @type {Part} */ (tracks[j].parts.find(({ name }) => name === part.name)).kept + edge;
    return row[at] < 0 ? "dropped" : tracks[j].operations[row[at]].name;
  };
  /** @type {Record<string, string[][]>} */
  const otherwise = {};
  let edges = 0;
  for (const part of track.parts) {
    edges += part.labels.length;
    otherwise[part.name] = part.labels.map((_, edge) => {
      if (!mine) return [];
      const own = keptBy(place, mine, part, edge);
      /** @type {[string, string][]} */
      const theirs = others.map((j) => [tracks[j].name, keptBy(j, state.tracks[j].shown[state.tracks[j].shown.length - 1], part, edge)]);
      theirs.forEach(([, kept], k) => (counts[k] += Number(kept !== own)));
      return markedDifferences(own, theirs).map((pair) => pair.join(": "));
    });
  }
  const summary = mine ? others.map((j, k) => (counts[k] ? `${counts[k]} of ${edges} edges differ from ${tracks[j].name}` : `the same as ${tracks[j].name}`)).join("  ·  ") : "";
  return { otherwise, summary };
}

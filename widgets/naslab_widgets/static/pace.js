// Timing: drawing at most a few times a second, and asking once a moment has rested.

/** @import { Timer } from "./types.js" */

export const PERIOD = 260; // milliseconds

/**
 * Throttles expensive drawing while a search runs; any other change is drawn at once. `again` requests a redraw of the page,
 * which calls `draw` once more.
 * @template {unknown[]} A
 * @param {((...given: A) => void)[]} draws
 * @param {() => void} again
 * @param {{period?: number, clock?: () => number}} [options]
 * @returns {{draw: (moving: boolean, what: string, ...given: A) => void, close: () => void}}
 */
export function paced(draws, again, { period = PERIOD, clock = () => performance.now() } = {}) {
  let last = -Infinity;
  /** @type {string | null} */
  let shown = null;
  /** @type {Timer | undefined} */
  let timer;
  return {
    // `moving`: the search runs and its newest moment is shown; `what`: everything else that the drawing depends on.
    draw(moving, what, ...given) {
      const wait = period - (clock() - last);
      if (moving && what === shown && wait > 0) {
        timer ??= setTimeout(() => {
          timer = undefined;
          again();
        }, wait);
        return;
      }
      clearTimeout(timer);
      timer = undefined;
      [last, shown] = [clock(), what];
      for (const draw of draws) draw(...given);
    },
    close() {
      clearTimeout(timer);
    },
  };
}

/**
 * Debounces requests for a moment: `ask` runs after `rest` ms without a change, once for each moment.
 * @param {(moment: number) => void} ask
 * @param {number} [rest]
 * @returns {{at: (moment: number | null, wanted: boolean) => void, close: () => void}}
 */
export function whenAtRest(ask, rest = 150) {
  /** @type {Timer | undefined} */
  let timer;
  /** @type {number | null} */
  let waiting = null;
  /** @type {number | null} */
  let asked = null;
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

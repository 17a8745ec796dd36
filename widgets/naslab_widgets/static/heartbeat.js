// Whether the kernel is alive, from the beats that it sends.

const QUIET = 4000; // ms without a beat before it is said
const FIRST = 6000; // ms more for the first beat
const NAP = 2500; // ms from tick to tick after which the page itself has slept

/**
 * Whether the kernel is heard: a clock that knows of its own sleep. All times in ms.
 * @param {number} now
 * @returns {{beat: (at: number, held?: number) => void, tick: (at: number, watching: boolean, free?: boolean) => number}}
 */
export function heartbeat(now) {
  let heard = now;
  let ticked = now;
  let patience = QUIET;
  let beats = false; // since this page began, or went on, to look
  return {
    beat(at, held = 0) {
      heard = at;
      beats = true;
      patience = Math.max(patience, held > 0.5 ? 1500 * held + QUIET : 0);
    },
    // For how long it has been silent; 0 while that means nothing: a page that does not look, or has slept itself, and a
    // kernel that a cell keeps from hearing that somebody looks.
    tick(at, watching, free = true) {
      if (!watching || at - ticked > NAP) {
        heard = at;
        beats = false;
      }
      ticked = at;
      if (!beats && !free) heard = at;
      return at - heard > patience + (beats ? 0 : FIRST) ? at - heard : 0;
    },
  };
}

export const GONE = new Set(["restarting", "autorestarting", "dead", "terminating"]);

/**
 * What became of the kernel.
 * @param {string} status
 * @returns {string}
 */
export function goneText(status) {
  if (status === "terminating" || status === "dead") return "the kernel was shut down";
  if (status === "autorestarting") return "the kernel died, and another was started";
  return status ? "the kernel was restarted" : "the kernel is gone";
}

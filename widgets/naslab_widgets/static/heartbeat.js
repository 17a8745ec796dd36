// Whether the kernel is alive, from the beats that it sends.

const QUIET = 4000; // ms without a beat before the kernel counts as silent
const FIRST = 6000; // additional ms for the first beat
const NAP = 2500; // ms between two ticks after which the page itself must have slept

/**
 * Tracks the beats of a kernel; a sleep of the page itself does not count as silence. All times in ms.
 * @param {number} now
 * @returns {{beat: (at: number, held?: number) => void, tick: (at: number, watching: boolean, free?: boolean) => number}}
 */
export function heartbeat(now) {
  let heard = now;
  let ticked = now;
  let patience = QUIET;
  let beats = false; // whether one has arrived since the page began, or resumed, to watch
  return {
    beat(at, held = 0) {
      heard = at;
      beats = true;
      patience = Math.max(patience, held > 0.5 ? 1500 * held + QUIET : 0);
    },
    // Returns for how long the kernel has been silent; 0 while silence means nothing: nobody watches, the page slept, or a
    // running cell keeps the kernel from learning that it is watched.
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

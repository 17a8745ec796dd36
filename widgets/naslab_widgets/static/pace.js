// Pictures that are dear are drawn a few times a second while a search moves, and at once when anything else changes.

export const PERIOD = 260; // milliseconds

// draws: the dear pictures; again: asks for a drawing of the page, which calls `draw` once more.
export function paced(draws, again, { period = PERIOD, clock = () => performance.now() } = {}) {
  let last = -Infinity;
  let shown = null;
  let timer = null;
  return {
    // moving: whether the search runs and the newest moment is shown; what: everything else that the pictures depend on.
    draw(moving, what, ...told) {
      const wait = period - (clock() - last);
      if (moving && what === shown && wait > 0) {
        timer ??= setTimeout(() => {
          timer = null;
          again();
        }, wait);
        return;
      }
      clearTimeout(timer);
      timer = null;
      [last, shown] = [clock(), what];
      for (const draw of draws) draw(...told);
    },
    close() {
      clearTimeout(timer);
    },
  };
}

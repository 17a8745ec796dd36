// The end of a share's bar: dragged, or moved by arrow keys, to push the alpha.

import { nudgeBy } from "./edge_rules.js";
import { make } from "./elements.js";
import { digits } from "./numbers.js";
/** @import { NudgeAim, Tooltip } from "./types.js" */

/**
 * A slider at the end of a share's bar: moving it shows the share that would result, Enter requests it.
 * @param {HTMLElement} bar
 * @param {string} name
 * @param {{nudge: (by: number | boolean | null) => void, tooltip: Tooltip}} context
 * @returns {{draw: (aim: NudgeAim) => void}}
 */
export function handleView(bar, name, { nudge, tooltip }) {
  const handle = make("div", "naslab-handle", bar);
  handle.tabIndex = 0;
  handle.setAttribute("role", "slider");
  handle.setAttribute("aria-label", `nudge ${name}`);
  handle.setAttribute("aria-valuemin", "0");
  handle.setAttribute("aria-valuemax", "100");
  /** @type {NudgeAim} */
  let latest = { share: NaN };
  /** @type {(target: number) => void} */
  const aimAt = (target) => {
    if (!Number.isFinite(latest.share)) return;
    nudge(nudgeBy(latest.share, target));
  };
  handle.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    handle.focus();
    handle.setPointerCapture(event.pointerId);
  });
  handle.addEventListener("pointermove", (event) => {
    if (!handle.hasPointerCapture(event.pointerId)) return;
    const frame = bar.getBoundingClientRect();
    aimAt((event.clientX - frame.left) / frame.width);
    tooltip.show(event, [{ text: `α ${latest.mine && latest.mine.by >= 0 ? "+" : "−"} ${digits(Math.abs(latest.mine?.by ?? 0), 3)}`, strong: true }, { text: "Enter does it, Esc does not" }]);
  });
  for (const end of ["pointerup", "pointercancel"]) handle.addEventListener(end, () => tooltip.hide());
  handle.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 0.01, ArrowUp: 0.01, ArrowLeft: -0.01, ArrowDown: -0.01 }[event.key];
    if (by !== undefined) aimAt((latest.mine ? (latest.aim ?? NaN) : latest.share) + (event.shiftKey ? 5 : 1) * by);
    else if (event.key === "Enter" && latest.mine) nudge(true);
    else if (event.key === "Escape" && latest.mine) nudge(null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  handle.addEventListener("blur", () => latest.mine && nudge(null));
  return {
    draw(aim) {
      latest = aim;
      const share = aim.mine ? aim.aim : aim.share;
      handle.style.left = `${100 * (share || 0)}%`;
      handle.style.display = aim.rule ? "none" : "";
      handle.setAttribute("aria-valuenow", String(Math.round(100 * (share || 0))));
      handle.setAttribute("aria-valuetext", typeof share === "number" && Number.isFinite(share) ? `${share.toFixed(3)}${aim.mine ? `, alpha ${aim.mine.by >= 0 ? "plus" : "minus"} ${digits(Math.abs(aim.mine.by), 3)}: Enter does it` : ""}` : "");
      handle.title = "drag, or move with the arrow keys; Enter adds it to the alpha, Esc does not";
    },
  };
}

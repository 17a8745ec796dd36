// One operation of an edge in its sheet: its share, its cost, its buttons.

import { hue } from "./canvas.js";
import { LAST, nudged, ruleOf } from "./edge_rules.js";
import { make, shape } from "./elements.js";
import { handleView } from "./nudge_handle.js";
import { digits, number, shortCount } from "./numbers.js";
/** @import { EdgeSheetAbout, Operation, OperationLine, Tooltip } from "./types.js" */

/**
 * Colour, name, share and buttons; below them the bar, the curve of the share and the costs.
 * @param {HTMLElement} parent
 * @param {Operation} named
 * @param {number} operation
 * @param {{about: EdgeSheetAbout | undefined, tooltip: Tooltip, act: (operation: number, name: string) => void, nudge: (operation: number, by: number | boolean | null) => void}} context
 * @returns {OperationLine}
 */
export function operationView(parent, named, operation, { about, tooltip, act, nudge }) {
  const line = make("div", "naslab-op", parent);
  const top = make("div", "naslab-op-top", line);
  const swatch = make("i", "", top);
  make("span", "naslab-op-name", top, named.name).title = named.name;
  const hollow = make("span", "naslab-hollow", top);
  hollow.title = "from the next step on";
  const pull = make("span", "naslab-op-pull", top);
  const worth = make("span", "naslab-op-share", top);
  const figures = make("div", "naslab-op-figures", line);
  const bar = make("div", "naslab-bar", figures);
  const fill = make("div", "naslab-bar-fill", bar);
  const ghost = make("div", "naslab-bar-ghost", bar);
  const spark = shape("svg", { class: "naslab-spark", viewBox: "0 -4 100 108", preserveAspectRatio: "none", "aria-hidden": "true" }, figures);
  const curve = shape("polyline", { fill: "none", "stroke-width": 1.5, "vector-effect": "non-scaling-stroke" }, spark);
  const [weights, sums, sees] = ["", "", ""].map(() => make("span", "", figures));
  const buttons = about
    ? ["lock", "forbid"].map((name) => {
        const button = make("button", "naslab-small", top, name);
        button.type = "button";
        button.addEventListener("click", () => act(operation, name));
        return { name, button };
      })
    : [];
  const handle = about && about.nudge ? handleView(bar, named.name, { nudge: (by) => nudge(operation, by), tooltip }) : null;

  /** @type {OperationLine["draw"]} */
  function draw({ theme, share, tried, drag, curve: points, sheet, shown, of, at, left }) {
    const colour = hue(named, theme);
    swatch.style.background = fill.style.background = colour;
    curve.setAttribute("stroke", colour);
    curve.setAttribute("points", points);
    worth.textContent = Number.isFinite(share) ? share.toFixed(3) : "";
    fill.style.width = `${100 * (share || 0)}%`;
    const rule = sheet ? ruleOf(sheet.next, shown.part, shown.edge, operation) : "";
    const now = sheet ? ruleOf(sheet.now, shown.part, shown.edge, operation) : "";
    const waiting = sheet ? sheet.nudges.filter((one) => one[0] === shown.part && one[1] === shown.edge && one[2] === operation) : [];
    const coming = waiting.length ? nudged([share, 1 - share], 0, waiting.reduce((sum, one) => sum + one[3], 0))[0] : null;
    line.dataset.rule = rule;
    line.dataset.pending = String(rule !== now || waiting.length > 0);
    const aim = tried ?? coming;
    ghost.style.display = aim === null ? "none" : "";
    ghost.style.width = `${100 * (aim ?? 0)}%`;
    for (const { name, button } of buttons) {
      const alone = left.length === 1 && left[0] === operation;
      const last = name === "forbid" && alone;
      button.setAttribute("aria-disabled", String(last || rule === "everywhere" || rule === "dropped"));
      button.setAttribute("aria-pressed", String(name === "forbid" ? rule === "here" : alone && rule === ""));
      button.setAttribute("aria-label", `${name} ${named.name}`);
      button.title = last ? LAST : rule === "everywhere" ? "forbidden on every edge" : name === "forbid" ? "no share for it from the next step on; once more allows it again" : "nothing but this one from the next step on; once more frees the others";
    }
    handle?.draw({ share, rule, mine: drag?.operation === operation ? drag : null, aim });
    if (of) {
      [weights.textContent, sums.textContent] = [shortCount(of.parameters[at]), shortCount(of.multiply_adds[at])];
      const [high, wide] = of.fields[at];
      sees.textContent = high ? (wide === 1 && high > 1 ? String(high) : `${high}×${wide}`) : "–";
    }
    const length = sheet?.gradients?.parameters[shown.part]?.[shown.edge]?.[operation] ?? NaN;
    const slope = sheet?.gradients?.shares[shown.part]?.[shown.edge]?.[operation] ?? NaN;
    pull.textContent = Number.isFinite(slope) ? `${slope < 0 ? "↑" : slope > 0 ? "↓" : "·"} ∇ ${Number.isFinite(length) ? digits(length, 2) : "–"}` : "";
    pull.title = Number.isFinite(slope) ? `step ${sheet?.gradients?.step}: the loss would ${slope < 0 ? "fall" : "rise"} with more of it (${number(slope)} per share); the gradient of its own weights is ${Number.isFinite(length) ? digits(length, 3) : "not known"} long` : "";
  }
  return { operation, draw };
}

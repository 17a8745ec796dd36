// The sheet of the edge that is selected: what each of its operations is worth, costs and sees, and what a hand does to it.

import { digits, hue, make, makeSheet, number, shape } from "./shared.js";

export const LAST = "an edge keeps at least one operation";
const POINTS = 60; // of a curve
const LEAST = 0.001; // share that a nudge leads to; 1 minus it at most

// What has to be added to an alpha for its operation to have that share: the softmax moves by the log of the odds.
export function nudgeBy(share, target) {
  const odds = (value) => Math.log(value / (1 - value));
  const clamped = (value) => Math.min(1 - LEAST, Math.max(LEAST, value));
  return Number.isFinite(share) && Number.isFinite(target) ? odds(clamped(target)) - odds(clamped(share)) : 0;
}

// The shares of an edge once so much is added to one alpha.
export function nudged(shares, operation, by) {
  const weights = shares.map((share, i) => (i === operation ? share * Math.exp(by) : share));
  const sum = weights.reduce((all, weight) => all + weight, 0);
  return sum > 0 && Number.isFinite(sum) ? weights.map((weight) => weight / sum) : [...shares];
}

// What is forbidden of an operation on an edge, by rules as Python tells them: "here", "everywhere", "dropped" or "".
export function ruleOf(rules, part, edge, operation) {
  if (rules.dropped[part].includes(edge)) return "dropped";
  if (rules.everywhere.includes(operation)) return "everywhere";
  return (rules.masks[part][edge] || []).includes(operation) ? "here" : "";
}

// Which operations an edge has left, by what its own row and what all edges forbid.
export function leftOf(rules, has, part, edge) {
  const masked = rules.masks[part][edge] || [];
  return has.filter((operation) => !masked.includes(operation) && !rules.everywhere.includes(operation));
}

// A count as short as it can be told: 17.4k.
export function short(value) {
  if (value === null || !Number.isFinite(value)) return "–";
  const scales = /** @type {[number, string][]} */ ([[1e9, "G"], [1e6, "M"], [1e3, "k"], [0, ""]]);
  const [size, unit] = scales.find(([least]) => value >= least) ?? [1, ""];
  return digits(value / (size || 1), 3) + unit;
}

export function sheetView(root, over, { parts, operations, about, cursor, send, tooltip }) {
  const { box, title, close } = makeSheet(root, "");
  close.addEventListener("click", () => cursor.set({ selected: null }));
  const caption = make("div", "naslab-op-figures naslab-sheet-caption", box);
  for (const [text, told] of [
    ["share", "drag the end of a bar to push its alpha"],
    ["so far", "the share, step by step"],
    ["weights", "parameters, in all cells of the part together"],
    ["× +", "multiply-adds for one example, in all cells of the part together"],
    ["sees", "pixels of what the edge reads that one pixel of the output depends on"],
  ])
    make("span", "", caption, text).title = told;
  const list = make("div", "naslab-ops", box);
  const note = make("div", "naslab-sheet-note", box);
  note.setAttribute("role", "status");
  const foot = make("div", "naslab-sheet-foot", box);
  let lines = [];
  let shown = null; // {part, edge, name}: numbers of the part and the edge, the part's name
  let said = ""; // by the page itself
  let latest = null;
  let drag = null; // {operation, by}: tried out, and not asked for yet

  const controls = footView(foot, { operations, ask: (message) => ask(message) });

  function ask(message) {
    said = "";
    send({ ...message, part: shown.part, edge: shown.edge });
  }

  const selected = () => {
    const chosen = cursor.selected;
    const part = chosen ? parts.findIndex(({ name }) => name === chosen.part) : -1;
    return part < 0 || !(chosen.edge < parts[part].labels.length) ? null : { part, edge: chosen.edge };
  };

  function build({ part, edge }) {
    shown = { part, edge };
    said = "";
    drag = null;
    const has = about ? about.has[part][edge] : operations.map((_, operation) => operation);
    list.replaceChildren();
    lines = has.map((operation) => lineView(list, operations[operation], operation, { about, tooltip, act, nudge }));
  }

  function act(operation, name) {
    const state = latest.sheet;
    const rule = ruleOf(state.next, shown.part, shown.edge, operation);
    const left = leftOf(state.next, lines.map((line) => line.operation), shown.part, shown.edge);
    if (rule === "everywhere") said = "forbidden on every edge: Shift-click it in the legend to allow it again";
    else if (name === "forbid" && rule === "here") return ask({ do: "allow", operation });
    else if (name === "forbid" && left.length === 1 && left[0] === operation) said = LAST;
    else if (name === "lock" && left.length === 1 && left[0] === operation) return ask({ do: "unlock" });
    else return ask({ do: name, operation });
    draw(...latest.drawn);
  }

  // null takes back what was tried out, a number is tried out, true asks for it.
  function nudge(operation, by) {
    if (by === true) {
      if (drag && drag.operation === operation && Math.abs(drag.by) > 1e-9) ask({ do: "nudge", operation, by: drag.by });
      drag = null;
    } else drag = by === null ? null : { operation, by };
    draw(...latest.drawn);
  }

  function draw(all, theme) {
    const found = selected();
    box.style.display = found ? "" : "none";
    if (!found) {
      shown = null;
      return;
    }
    if (!shown || shown.part !== found.part || shown.edge !== found.edge) build(found);
    const sheet = all.sections?.sheet;
    if (about && sheet && !sheet.anatomy && !sheet.busy.includes("anatomy") && !latest?.wanted) send({ do: "anatomy" });
    const { rows } = all;
    latest = { drawn: [all, theme], sheet, wanted: latest?.wanted || Boolean(sheet) };
    const part = parts[shown.part];
    place(box, over, root, shown.part, parts.length);
    const row = all.moment ?? rows[rows.length - 1] ?? null;
    const kept = row ? row[part.kept + shown.edge] : -1;
    const dropped = sheet && sheet.next.dropped[shown.part].includes(shown.edge);
    const fate = dropped ? "left out" : !row ? "" : kept < 0 ? "not kept" : `kept: ${operations[kept].name}`;
    title.textContent = [`${part.name}, ${part.labels[shown.edge]}`, fate].filter(Boolean).join(", ");
    box.setAttribute("aria-label", title.textContent);
    box.dataset.edge = shown.edge;
    box.dataset.part = part.name;
    const start = part.probabilities + shown.edge * operations.length;
    const curves = curvesOf(rows, start, lines.map((line) => line.operation));
    const shares = row ? Array.from(row.subarray(start, start + operations.length)) : null;
    const tried = drag && shares ? nudged(shares, drag.operation, drag.by) : null;
    const of = sheet?.anatomy?.find((one) => one.part === shown.part && one.edge === shown.edge);
    lines.forEach((line, i) => line.draw({ theme, share: shares ? shares[line.operation] : NaN, tried: tried ? tried[line.operation] : null, drag, curve: curves[i], sheet, shown, of, at: i, left: sheet ? leftOf(sheet.next, lines.map((one) => one.operation), shown.part, shown.edge) : [] }));
    note.textContent = said || sheet?.refused || "";
    note.style.display = note.textContent ? "" : "none";
    foot.style.display = about ? "" : "none";
    if (about && sheet) controls({ sheet, shown, of, dropped });
  }

  box.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented) return;
    event.preventDefault();
    event.stopPropagation();
    const was = shown;
    cursor.set({ selected: null });
    root.querySelector(`.naslab-cell[data-part="${was.part}"] .naslab-edge[data-row="${was.edge}"]`)?.focus();
  });
  return draw;
}

// Over the second cell; over the first where the edge is one of the second, so that it stays in view.
function place(box, over, root, part, count) {
  const left = count > 1 && part > 0 && over.children[part].offsetLeft > 0;
  const height = Math.max(240, root.clientHeight - over.offsetTop);
  const at = `${left}/${over.offsetTop}/${height}`;
  if (box.dataset.at === at) return;
  box.dataset.at = at;
  Object.assign(box.style, { left: left ? "0" : "auto", right: left ? "auto" : "0", top: `${over.offsetTop}px`, maxHeight: `${height}px` });
}

// Curves of an edge, "x,y x,y ..." each in a box of 100 x 100, and all on one scale.
export function curvesOf(rows, start, columns) {
  if (rows.length < 2) return columns.map(() => "");
  const stride = Math.max(1, Math.floor(rows.length / POINTS));
  const kept = rows.filter((_, i) => (rows.length - 1 - i) % stride === 0);
  const first = kept[0][0];
  const span = kept[kept.length - 1][0] - first || 1;
  const most = Math.max(1e-9, ...kept.map((row) => Math.max(...columns.map((column) => row[start + column]))));
  return columns.map((column) => kept.map((row) => `${(100 * (row[0] - first) / span).toFixed(1)},${(100 - 100 * row[start + column] / most).toFixed(1)}`).join(" "));
}

// One operation: swatch, name, share, what can be done; below, its bar and its figures.
function lineView(parent, told, operation, { about, tooltip, act, nudge }) {
  const line = make("div", "naslab-op", parent);
  const top = make("div", "naslab-op-top", line);
  const swatch = make("i", "", top);
  make("span", "naslab-op-name", top, told.name).title = told.name;
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
        return [name, button];
      })
    : [];
  const handle = about && about.nudge ? handleView(bar, told.name, { nudge: (by) => nudge(operation, by), tooltip }) : null;

  function draw({ theme, share, tried, drag, curve: points, sheet, shown, of, at, left }) {
    const colour = hue(told, theme);
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
    line.dataset.pending = rule !== now || waiting.length > 0;
    const aim = tried ?? coming;
    ghost.style.display = aim === null ? "none" : "";
    ghost.style.width = `${100 * (aim ?? 0)}%`;
    for (const [name, button] of buttons) {
      const alone = left.length === 1 && left[0] === operation;
      const last = name === "forbid" && alone;
      button.setAttribute("aria-disabled", last || rule === "everywhere" || rule === "dropped");
      button.setAttribute("aria-pressed", name === "forbid" ? rule === "here" : alone && rule === "");
      button.setAttribute("aria-label", `${name} ${told.name}`);
      button.title = last ? LAST : rule === "everywhere" ? "forbidden on every edge" : name === "forbid" ? "no share for it from the next step on; once more allows it again" : "nothing but this one from the next step on; once more frees the others";
    }
    handle?.draw({ share, rule, mine: drag?.operation === operation ? drag : null, aim });
    if (of) {
      [weights.textContent, sums.textContent] = [short(of.parameters[at]), short(of.multiply_adds[at])];
      const [high, wide] = of.fields[at];
      sees.textContent = high ? (wide === 1 && high > 1 ? String(high) : `${high}×${wide}`) : "–";
    }
    const length = sheet?.gradients?.parameters[shown.part]?.[shown.edge]?.[operation];
    const slope = sheet?.gradients?.shares[shown.part]?.[shown.edge]?.[operation];
    pull.textContent = Number.isFinite(slope) ? `${slope < 0 ? "↑" : slope > 0 ? "↓" : "·"} ∇ ${Number.isFinite(length) ? digits(length, 2) : "–"}` : "";
    pull.title = Number.isFinite(slope) ? `step ${sheet.gradients.step}: the loss would ${slope < 0 ? "fall" : "rise"} with more of it (${number(slope)} per share); the gradient of its own weights is ${Number.isFinite(length) ? digits(length, 3) : "not known"} long` : "";
  }
  return { operation, draw };
}

// The end of a bar, which can be dragged, and moved by arrow keys: what it would lead to is shown, Enter asks for it.
function handleView(bar, name, { nudge, tooltip }) {
  const handle = make("div", "naslab-handle", bar);
  handle.tabIndex = 0;
  handle.setAttribute("role", "slider");
  handle.setAttribute("aria-label", `nudge ${name}`);
  handle.setAttribute("aria-valuemin", 0);
  handle.setAttribute("aria-valuemax", 100);
  let latest = { share: NaN };
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
    if (by !== undefined) aimAt((latest.mine ? latest.aim : latest.share) + (event.shiftKey ? 5 : 1) * by);
    else if (event.key === "Enter" && latest.mine) nudge(true);
    else if (event.key === "Escape" && latest.mine) nudge(null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  handle.addEventListener("blur", () => latest.mine && nudge(null));
  return {
    draw(told) {
      latest = told;
      const share = told.mine ? told.aim : told.share;
      handle.style.left = `${100 * (share || 0)}%`;
      handle.style.display = told.rule ? "none" : "";
      handle.setAttribute("aria-valuenow", Math.round(100 * (share || 0)));
      handle.setAttribute("aria-valuetext", Number.isFinite(share) ? `${share.toFixed(3)}${told.mine ? `, alpha ${told.mine.by >= 0 ? "plus" : "minus"} ${digits(Math.abs(told.mine.by), 3)}: Enter does it` : ""}` : "");
      handle.title = "drag, or move with the arrow keys; Enter adds it to the alpha, Esc does not";
    },
  };
}

// Below the operations: the edge itself, its shapes, and what takes a moment to look at.
function footView(foot, { operations, ask }) {
  const shapes = make("div", "naslab-sheet-shapes", foot);
  const row = make("div", "naslab-sheet-buttons", foot);
  const button = (text, told, does) => {
    const made = make("button", "naslab-small", row, text);
    made.type = "button";
    made.title = told;
    made.addEventListener("click", does);
    return made;
  };
  let latest = null;
  const drop = button("drop this edge", "leave the whole edge out, from the next step on", () => ask({ do: latest.dropped ? "undrop" : "drop" }));
  const gradients = button("gradients", "which way the loss pulls each operation now, and how strongly its weights move: one pass on a copy", () => ask({ do: "gradients" }));
  const maps = button("maps of image", "what each operation makes of one training image: one pass on a copy", () => ask({ do: "maps", example: Number(which.value) }));
  const which = make("input", "naslab-small", row);
  Object.assign(which, { type: "number", min: 0, max: 255, value: 7 });
  which.setAttribute("aria-label", "number of the training image");
  const sheet = make("div", "naslab-maps", foot);
  let drawn = null;

  function drawMaps(found) {
    if (found === drawn) return;
    drawn = found;
    sheet.replaceChildren();
    if (!found) return;
    const [width, height] = found.size;
    const names = make("div", "naslab-maps-names", sheet);
    for (const text of ["reads", ...found.operations.map((operation) => operations[operation].name)]) make("span", "", names, text).title = text;
    const canvas = make("canvas", "", sheet);
    Object.assign(canvas, { width, height });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `feature maps of image ${found.example}: a row an operation, a column a channel`);
    const image = new ImageData(width, height);
    const grey = atob(found.grey);
    for (let i = 0; i < grey.length; i += 1) image.data.set([grey.charCodeAt(i), grey.charCodeAt(i), grey.charCodeAt(i), 255], 4 * i);
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  return function draw({ sheet: state, shown, of, dropped }) {
    latest = { dropped };
    drop.textContent = dropped ? "take it in again" : "drop this edge";
    drop.setAttribute("aria-pressed", dropped);
    drop.dataset.pending = dropped !== state.now.dropped[shown.part].includes(shown.edge);
    const where = of && of.cells > 1 ? ` in the first of ${of.cells} cells` : "";
    shapes.textContent = of && of.reads.length ? `reads ${of.reads.join(" × ")}, gives ${of.gives.join(" × ")}${where}` : state.busy.includes("anatomy") ? "measuring …" : "";
    gradients.disabled = state.busy.includes("gradients");
    const pictures = of && of.reads.length === 3;
    maps.style.display = which.style.display = pictures ? "" : "none";
    maps.disabled = state.busy.includes("maps");
    const found = state.maps && state.maps.part === shown.part && state.maps.edge === shown.edge ? state.maps : null;
    drawMaps(found);
    sheet.style.display = found ? "" : "none";
  };
}

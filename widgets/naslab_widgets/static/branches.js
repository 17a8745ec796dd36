// The branches of a search: a row each, over one axis of steps, with a dot where it parted; and the two ways to make one,
// to fork and to go back, at the moment that the panel looks at.

import { make } from "./shared.js";

const REST = 150; // milliseconds for which the cursor rests before it is asked what going there takes

export function branchesSection(parent, { send, about, cursor, redraw, places }) {
  const box = make("div", "naslab-branches", parent);
  const line = make("div", "naslab-branches-line", box);
  const fork = branchButton(line, "naslab-fork", "Fork here…", "A second search from this moment on, with one change");
  const back = branchButton(line, "naslab-back", "Go back here…", "Take this search back to this moment");
  const told = make("span", "naslab-branches-told", line);
  told.setAttribute("role", "status");
  const bar = make("progress", "naslab-branches-progress", line);
  const cancel = branchButton(line, "naslab-cancel", "Cancel", "Leave everything as it is");
  if (about.forks) places.doing = line; // the ledger's buttons stand beside these
  const form = about.forks ? forkForm(box, about, send) : null;
  const sure = make("div", "naslab-branches-form", box);
  const tree = make("div", "naslab-tree", box);
  tree.setAttribute("role", "group");
  tree.setAttribute("aria-label", "branches: Enter shows one, Ctrl+Enter adds it to the comparison");
  bar.hidden = cancel.hidden = sure.hidden = tree.hidden = true; // until Python has told anything
  form?.show(false);
  let open = ""; // "fork", "back" or nothing
  let at = 0; // the step that the form is about
  let asked = null;
  let timer = null;
  let latest = { name: "" };

  fork.addEventListener("click", () => toggle("fork"));
  back.addEventListener("click", () => toggle("back"));
  cancel.addEventListener("click", () => send({ do: "cancel" }));
  box.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && open) {
      event.stopPropagation();
      toggle("");
    }
  });

  function toggle(which) {
    const from = open === "fork" ? fork : back;
    open = open === which ? "" : which;
    if (open === "fork") form.begin(at, latest.name);
    if (open === "back") confirmBack();
    showForms(); // now: what is hidden until the next frame cannot take the focus
    redraw();
    if (open === "fork") form.focus();
    if (open === "back") sure.querySelector("button")?.focus();
    if (!open) from.focus(); // what had it is hidden now
  }

  function showForms() {
    form?.show(open === "fork");
    sure.hidden = open !== "back";
  }

  function confirmBack() {
    const step = at;
    sure.replaceChildren();
    const left = latest.told && latest.told.step === step && latest.told.left;
    make("span", "", sure, `Go back to step ${step}? ${left ? `${left[0].toUpperCase()}${left.slice(1)} in the run as abandoned.` : ""}`);
    branchButton(sure, "naslab-sure", "Go back", "").addEventListener("click", () => {
      send({ do: "back", step });
      cursor.set({ at: null });
      toggle("");
    });
    branchButton(sure, "", "Stay", "").addEventListener("click", () => toggle(""));
  }

  if (form)
    form.onSend(() => {
      cursor.set({ at: null });
      toggle("");
    });

  return function draw(state, status) {
    latest = state;
    const looking = cursor.at !== null;
    at = looking ? Math.min(Math.round(cursor.at), status.step) : status.step;
    if (!open && about.forks && asked !== at && !state.busy) ask();
    const busy = state.busy;
    line.hidden = !about.forks;
    fork.disabled = Boolean(busy);
    back.disabled = Boolean(busy) || at >= status.step;
    fork.setAttribute("aria-expanded", open === "fork");
    back.setAttribute("aria-expanded", open === "back");
    bar.hidden = cancel.hidden = !busy;
    if (busy) {
      bar.max = Math.max(busy.total, 1);
      bar.value = busy.done;
    }
    told.textContent = busy ? underWay(busy) : state.error || moment(at, looking, state.told);
    told.title = told.textContent;
    told.classList.toggle("naslab-branches-error", Boolean(state.error && !busy));
    showForms();
    drawTree(tree, state.rows, status, (runs) => {
      cursor.set({ at: null }); // what is shown instead looks at its own moment
      send({ do: "show", runs });
    });
  };

  // What going there takes is asked when the cursor rests; of now it is known.
  function ask() {
    clearTimeout(timer);
    timer = setTimeout(() => {
      asked = at;
      if (cursor.at !== null) send({ do: "ask", step: at });
    }, REST);
  }
}

export function underWay({ what, step, done, total }) {
  const doing = what === "fork" ? `forking at step ${step}` : `going back to step ${step}`;
  return total ? `${doing}: ${done} of ${total} steps done again` : doing;
}

export function moment(at, looking, told) {
  if (!looking) return "";
  const again = told && told.step === at ? `: ${told.again}` : "";
  return `step ${at}${again}`;
}

function branchButton(parent, className, text, title) {
  const found = make("button", `naslab-button ${className}`, parent, text);
  found.type = "button";
  if (title) found.title = title;
  return found;
}

// --- the form --------------------------------------------------------------------------------------

function forkForm(parent, about, send) {
  const form = make("form", "naslab-branches-form", parent);
  const head = make("b", "", form);
  const name = branchField(form, "name", make("input", ""));
  name.maxLength = 80;
  const change = branchField(form, "one change", make("select", ""));
  make("option", "", change, "none");
  about.changes.forEach(({ name: setting }, place) => (make("option", "", change, setting).value = place));
  const where = make("select", "", form);
  const value = make("span", "", form);
  const keep = make("label", "naslab-branches-keep", form);
  const kept = make("input", "", keep);
  kept.type = "checkbox";
  kept.checked = about.folders;
  make("span", "", keep, "keep as run folder");
  const go = make("button", "naslab-button naslab-go", form, "Fork");
  go.type = "submit";
  let step = 0;
  let sent = () => {};
  let read = () => undefined;

  const chosen = () => (change.value === "none" ? null : about.changes[Number(change.value)]);

  function offer() {
    const told = chosen();
    value.replaceChildren();
    where.hidden = !told || told.kind !== "mask";
    if (!told) return;
    if (told.kind === "number") {
      const input = make("input", "", value);
      Object.assign(input, { type: "number", step: "any", value: told.value, required: true });
      if (told.low !== null) input.min = told.low;
      if (told.high !== null) input.max = told.high;
      input.setAttribute("aria-label", told.name);
      read = () => Number(input.value);
      return;
    }
    let options = told.options;
    if (told.kind === "mask") {
      where.replaceChildren();
      where.setAttribute("aria-label", told.what);
      told.options.forEach(([row], place) => (make("option", "", where, `${told.what} ${row}`).value = place));
      options = told.options[0][1];
      make("span", "", value, "forbid ");
    }
    const select = make("select", "", value);
    select.setAttribute("aria-label", told.name);
    const fill = () => {
      select.replaceChildren();
      options.forEach(([, text], place) => (make("option", "", select, text).value = place));
    };
    fill();
    where.onchange = () => {
      options = told.options[Number(where.value)][1];
      fill();
    };
    read = () => options[Number(select.value)][0];
  }

  change.addEventListener("change", offer);
  // The notebook around it takes the key before a form hears of it.
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.target.tagName !== "INPUT") return;
    event.preventDefault();
    form.requestSubmit();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const told = chosen();
    const row = told && told.kind === "mask" ? { where: told.options[Number(where.value)][0] } : {};
    send({ do: "fork", step, name: name.value, keep: kept.checked, change: told && { name: told.name, value: read(), ...row } });
    sent();
  });
  offer();
  return {
    begin(at, fresh) {
      step = at;
      head.textContent = `Fork at step ${at}`;
      name.value = fresh;
    },
    focus: () => name.focus(),
    show: (open) => (form.hidden = !open),
    onSend: (listener) => (sent = listener),
  };
}

function branchField(form, text, input) {
  const label = make("label", "", form);
  make("span", "", label, text);
  label.append(input);
  return input;
}

// --- the tree --------------------------------------------------------------------------------------

// What stands in each row: from where to where in per cent of the longest, and its name beside it where there is room.
export function treeRows(rows, step) {
  const ends = rows.map((row) => row.step ?? step);
  const longest = Math.max(1, ...rows.map((row) => row.total), ...ends);
  return rows.map((row, place) => {
    const from = (100 * row.parted) / longest;
    const to = Math.max(from, (100 * ends[place]) / longest);
    return { from, to, dot: row.parent !== null, before: to > 75 && from > 15, end: ends[place] };
  });
}

// The branches that are shown after a click: that one alone, or, added to the others, up to three.
export function shownAfter(rows, place, add) {
  const run = rows[place].run;
  const shown = rows.filter((row) => row.shown).map((row) => row.run);
  if (!add) return [run];
  if (shown.includes(run)) return shown.length > 1 ? shown.filter((one) => one !== run) : shown;
  return shown.length < 3 ? [...shown, run] : null;
}

function branchSentence(row, end) {
  const steps = `steps ${row.parted + 1} to ${end}`;
  if (row.kind === "left") return `${row.name}: ${steps} were left behind by going back, and are abandoned`;
  const parted = row.parent === null ? "" : `, forked at step ${row.parted}`;
  const gone = row.kind === "gone" ? "; not open here" : "";
  return `${row.name}${parted}, at step ${end} of ${row.total}${gone}${row.where ? `\n${row.where}` : ""}`;
}

function drawTree(tree, rows, status, show) {
  tree.hidden = rows.length < 2;
  while (tree.children.length > rows.length) tree.lastChild.remove();
  const places = treeRows(rows, status.step);
  rows.forEach((row, place) => {
    let line = tree.children[place];
    if (!line) {
      line = make("button", "naslab-branch", tree);
      line.type = "button";
      make("i", "naslab-branch-bar", line);
      make("i", "naslab-branch-dot", line);
      make("span", "naslab-branch-name", line);
    }
    const { from, to, dot, before, end } = places[place];
    const [bar, point, name] = line.children;
    line.dataset.kind = row.kind;
    line.disabled = row.kind !== "live";
    line.title = branchSentence(row, end);
    line.setAttribute("aria-label", line.title);
    line.setAttribute("aria-pressed", row.shown);
    Object.assign(bar.style, { left: `${from}%`, width: `${to - from}%` });
    point.hidden = !dot;
    point.style.left = `${from}%`;
    name.textContent = row.kind === "left" ? "abandoned" : row.name;
    name.style.left = before ? "" : `${Math.min(to, 88)}%`;
    name.style.right = before ? `${100 - from}%` : "";
    line.onclick = (event) => {
      const runs = shownAfter(rows, place, event.ctrlKey || event.metaKey);
      if (runs) show(runs);
    };
  });
}

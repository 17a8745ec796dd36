// The form that forks a search: a name, one change, whether the fork is kept as a run folder.

import { make } from "./elements.js";
/** @import { BranchesAbout, Send } from "./types.js" */

/**
 * A name, one change of a setting, and whether the fork is kept.
 * @param {HTMLElement} parent
 * @param {BranchesAbout} about
 * @param {Send} send
 * @returns {{begin: (at: number, name: string) => void, focus: () => void, show: (open: boolean) => void, onSend: (listener: () => void) => void}}
 */
export function forkForm(parent, about, send) {
  const form = make("form", "naslab-branches-form", parent);
  const head = make("b", "", form);
  const name = branchField(form, "name", make("input", ""));
  name.maxLength = 80;
  const change = branchField(form, "one change", make("select", ""));
  make("option", "", change, "none");
  about.changes.forEach(({ name: setting }, place) => (make("option", "", change, setting).value = String(place)));
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
  /** @type {() => unknown} */
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
      if (told.low !== null) input.min = String(told.low);
      if (told.high !== null) input.max = String(told.high);
      input.setAttribute("aria-label", told.name);
      read = () => Number(input.value);
      return;
    }
    /** @type {[value: unknown, label: string][]} */
    let options;
    if (told.kind === "mask") {
      where.replaceChildren();
      where.setAttribute("aria-label", told.what);
      told.options.forEach(([row], place) => (make("option", "", where, `${told.what} ${row}`).value = String(place)));
      options = told.options[0][1];
      where.onchange = () => {
        options = told.options[Number(where.value)][1];
        fill();
      };
      make("span", "", value, "forbid ");
    } else options = told.options;
    const select = make("select", "", value);
    select.setAttribute("aria-label", told.name);
    const fill = () => {
      select.replaceChildren();
      options.forEach(([, text], place) => (make("option", "", select, text).value = String(place)));
    };
    fill();
    read = () => options[Number(select.value)][0];
  }

  change.addEventListener("change", offer);
  // The notebook around it takes the key before a form hears of it.
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.target instanceof HTMLInputElement)) return;
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

/**
 * @template {HTMLElement} E
 * @param {HTMLElement} form
 * @param {string} text
 * @param {E} input
 * @returns {E}
 */
function branchField(form, text, input) {
  const label = make("label", "", form);
  make("span", "", label, text);
  label.append(input);
  return input;
}

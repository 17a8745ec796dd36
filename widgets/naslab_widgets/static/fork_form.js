// The form that forks a search: a name, one change, whether the fork is kept as a run folder.

import { make } from "./elements.js";
/** @import { BranchesAbout, Send } from "./types.js" */

/**
 * The form, which `begin` opens at a step with a free name.
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
    const setting = chosen();
    value.replaceChildren();
    where.hidden = !setting || setting.kind !== "mask";
    if (!setting) return;
    if (setting.kind === "number") {
      const input = make("input", "", value);
      Object.assign(input, { type: "number", step: "any", value: setting.value, required: true });
      if (setting.low !== null) input.min = String(setting.low);
      if (setting.high !== null) input.max = String(setting.high);
      input.setAttribute("aria-label", setting.name);
      read = () => Number(input.value);
      return;
    }
    /** @type {[value: unknown, label: string][]} */
    let options;
    if (setting.kind === "mask") {
      where.replaceChildren();
      where.setAttribute("aria-label", setting.what);
      setting.options.forEach(([row], place) => (make("option", "", where, `${setting.what} ${row}`).value = String(place)));
      options = setting.options[0][1];
      where.onchange = () => {
        options = setting.options[Number(where.value)][1];
        fill();
      };
      make("span", "", value, "forbid ");
    } else options = setting.options;
    const select = make("select", "", value);
    select.setAttribute("aria-label", setting.name);
    const fill = () => {
      select.replaceChildren();
      options.forEach(([, text], place) => (make("option", "", select, text).value = String(place)));
    };
    fill();
    read = () => options[Number(select.value)][0];
  }

  change.addEventListener("change", offer);
  // The notebook would take the Enter key before it submits the form.
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.target instanceof HTMLInputElement)) return;
    event.preventDefault();
    form.requestSubmit();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const setting = chosen();
    const row = setting && setting.kind === "mask" ? { where: setting.options[Number(where.value)][0] } : {};
    send({ do: "fork", step, name: name.value, keep: kept.checked, change: setting && { name: setting.name, value: read(), ...row } });
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

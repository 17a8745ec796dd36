// The buttons that drive: play, pause, step.

import { make } from "./shared.js";

const BUTTONS = [
  ["play", "▶", "Play", "Go on to the end"],
  ["pause", "❚❚", "Pause", "Stand still after the step under way"],
  ["step", "▏▶", "Step", "Do exactly one step"],
];

export function stripSection(parent, { send }) {
  const box = make("div", "naslab-buttons", parent);
  const buttons = BUTTONS.map(([name, sign, label, title]) => {
    const button = make("button", `naslab-button naslab-${name}`, box);
    make("span", "naslab-sign", button, sign).setAttribute("aria-hidden", "true");
    make("span", "", button, label);
    button.type = "button";
    button.title = title;
    button.addEventListener("click", () => send({ do: name }));
    return [name, button];
  });
  return function draw(state) {
    for (const [name, button] of buttons) button.disabled = !state.can.includes(name);
  };
}

export function choiceSection(parent, { send, about }) {
  const box = make("div", "naslab-choice", parent);
  box.setAttribute("role", "radiogroup");
  box.setAttribute("aria-label", about.title);
  const buttons = about.options.map(([name, told]) => {
    const button = make("button", "naslab-button", box, name);
    button.type = "button";
    button.title = told;
    button.addEventListener("click", () => {
      draw(name); // a kernel that is busy will hear of it later; views that can turn by themselves do it now
      button.dispatchEvent(new CustomEvent("naslab-choice", { bubbles: true, detail: name }));
      send({ value: name });
    });
    return [name, button];
  });
  function draw(value) {
    for (const [name, button] of buttons) button.setAttribute("aria-pressed", name === value);
  }
  return draw;
}

// A choice of one among a few, as a row of buttons.

import { make } from "./elements.js";
/** @import { ChoiceAbout, DrawSection, SectionContext } from "./types.js" */

/**
 * One of a few, each a button; the page turns to it before Python answers.
 * @param {HTMLElement} parent
 * @param {Pick<SectionContext<ChoiceAbout>, "send" | "about">} context
 * @returns {DrawSection}
 */
export function choiceSection(parent, { send, about }) {
  const box = make("div", "naslab-choice", parent);
  box.setAttribute("role", "radiogroup");
  box.setAttribute("aria-label", about.title);
  const buttons = about.options.map(([name, description]) => {
    const button = make("button", "naslab-button", box, name);
    button.type = "button";
    button.title = description;
    button.addEventListener("click", () => {
      draw(name); // at once: a busy kernel answers later, and some views already have the data
      button.dispatchEvent(new CustomEvent("naslab-choice", { bubbles: true, detail: name }));
      send({ value: name });
    });
    return { name, button };
  });
  /** @type {(value: string) => void} */
  function draw(value) {
    for (const { name, button } of buttons) button.setAttribute("aria-pressed", String(name === value));
  }
  return draw;
}

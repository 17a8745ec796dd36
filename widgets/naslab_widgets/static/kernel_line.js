// The line above a panel: what it shows, and whether its kernel is alive.

import { make } from "./elements.js";

/**
 * The line, with a line of code to copy once the kernel is gone.
 * @param {HTMLElement} parent
 * @param {{about: string, words: string, line: string}} description
 * @returns {{save: HTMLButtonElement, say: (news: {kernel: string, text: string, far: boolean, unsaved: boolean}) => void}}
 */
export function truthLine(parent, { about, words, line }) {
  const root = make("div", about ? "naslab-truth" : "naslab-truth naslab-truth-bare", parent);
  root.setAttribute("role", "status");
  make("span", "naslab-about", root, about);
  const news = make("span", "naslab-news", root, "");
  const advice = make("span", "naslab-advice", root, "");
  const code = make("code", "", root, line);
  const copy = make("button", "", root, "copy");
  copy.type = "button";
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(line);
      copy.textContent = "copied";
    } catch {
      getSelection()?.selectAllChildren(code);
      copy.textContent = "selected";
    }
    setTimeout(() => (copy.textContent = "copy"), 2000);
  });
  const save = make("button", "", root, "save the notebook");
  save.type = "button";
  return {
    save,
    say({ kernel, text, far, unsaved }) {
      unsaved = unsaved && Boolean(about);
      root.dataset.kernel = kernel;
      if (news.textContent !== text) news.textContent = text;
      const shownAdvice = far ? words : unsaved && kernel === "live" ? "not saved yet: after a reload, Lab.all() in a cell brings this back" : "";
      if (advice.textContent !== shownAdvice) advice.textContent = shownAdvice;
      code.hidden = copy.hidden = !(far && line);
      save.hidden = !(unsaved && kernel === "live");
    },
  };
}

// State that the widgets of one panel share: the step that is shown instead of the newest, and the selected edge.
// Every widget loads its own copy of this module, so the state lives on the page, under the panel's name.

/** @import { Cursor, PanelState } from "./types.js" */

/**
 * The shared state of a panel; the last listener to leave removes it.
 * @param {string} panel
 * @returns {Cursor}
 */
export function bus(panel) {
  const page = /** @type {{naslabPanels?: Map<string, PanelState>}} */ (globalThis);
  const all = (page.naslabPanels ??= new Map());
  const shared = all.get(panel) ?? { at: null, selected: null, listeners: new Set() };
  all.set(panel, shared);
  return {
    get at() {
      return shared.at; // a step, or null for now
    },
    get selected() {
      return shared.selected; // {part, edge}, or null
    },
    // Listeners run only if something differs.
    set(change) {
      const before = { at: shared.at, selected: shared.selected };
      Object.assign(shared, change);
      if (before.at !== shared.at || JSON.stringify(before.selected) !== JSON.stringify(shared.selected)) for (const listener of shared.listeners) listener();
    },
    on(listener) {
      shared.listeners.add(listener);
      return () => {
        shared.listeners.delete(listener);
        if (!shared.listeners.size) all.delete(panel);
      };
    },
  };
}

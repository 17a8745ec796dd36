// What the widgets of one panel share on the page: the moment that one looks back to, and the edge that is selected.
// Each widget is a module of its own, so the page itself keeps it, by the panel's name.

/** @import { Cursor, PanelState } from "./types.js" */

/**
 * The state that the widgets of one panel share.
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
    // Changes some of it, and says so to everybody who listens.
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

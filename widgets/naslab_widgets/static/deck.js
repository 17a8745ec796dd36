// The controls above the pictures of a panel: buttons, settings, status, and one section for each other thing to do.
// Python names the sections; each is drawn from the state of the class of that name there.

import { beforeSection } from "./before.js";
import { branchesSection } from "./branches.js";
import { bus } from "./bus.js";
import { choiceSection } from "./choice.js";
import { watchSection } from "./collapse.js";
import { keepKeys, make } from "./elements.js";
import { ledgerSection } from "./ledger.js";
import { paced } from "./pace.js";
import { keepDrawn } from "./redraw.js";
import { screenButtons } from "./screen.js";
import { settingsSection } from "./settings.js";
import { alarmView, statusView } from "./status.js";
import { stripSection } from "./strip.js";
import { timebarSection } from "./timebar.js";
import { makeTooltip } from "./tooltip.js";
import { connect } from "./wire.js";
/** @import { DeckMessage, DrawSection, SectionContext, Send, Status, Theme, Widget } from "./types.js" */

const BESIDE = { strip: stripSection, choice: choiceSection, settings: settingsSection }; // in the first line
const ALONG = { timebar: timebarSection }; // right under the status line, which it covers while an earlier moment is shown

// Below these, in this order.
const BELOW = { branches: branchesSection, watch: watchSection, ledger: ledgerSection, before: beforeSection };

/**
 * @param {Widget} widget
 */
function render({ model, el }) {
  const { panel, sections } = model.get("description");
  const root = make("div", "naslab naslab-deck", el);
  keepKeys(root);
  const tooltip = makeTooltip(root);
  const cursor = bus(panel);
  /** @type {{status: Status, sections: Record<string, any>}} */
  const state = { status: { state: "idle", step: 0, total: null }, sections: {} };
  const line = make("div", "naslab-strip", root);
  /** @type {[name: string, draw: DrawSection][]} */
  const draws = [];
  let changes = 0; // of anything but the progress of the search
  const markChanged = () => ((changes += 1), page.redraw());
  const places = {}; // elements of one section that others may fill
  /** @type {(kinds: Record<string, (parent: HTMLElement, context: SectionContext) => DrawSection>, parent: HTMLElement) => void} */
  const add = (kinds, parent) => {
    for (const [name, section] of Object.entries(kinds))
      if (sections[name]) {
        /** @type {Send} */
        const send = (message) => model.send({ type: "section", section: name, ...message });
        const context = { send, about: sections[name], tooltip, cursor, root, places, sections: () => state.sections, redraw: markChanged };
        draws.push([name, section(parent, context)]);
      }
  };
  add(BESIDE, line);
  const restored = screenButtons(line, root);
  const status = statusView(root);
  add(ALONG, root);
  const alarm = alarmView(root);
  add(BELOW, root);

  /** @type {(theme: Theme) => void} */
  function drawAll(theme) {
    status(state);
    alarm(state);
    for (const [name, draw] of draws) if (state.sections[name] !== undefined) draw(state.sections[name], state.status, theme);
  }

  const page = keepDrawn(root, (theme) => {
    const moving = state.status.state === "running" && cursor.at === null;
    pace.draw(moving, JSON.stringify([changes, theme, root.clientWidth]), theme);
    stream.drawn();
  });
  const pace = paced([drawAll], page.redraw);
  const unsubscribe = cursor.on(markChanged);
  const stream = connect(model, (/** @type {DeckMessage} */ message) => message.fresh, (message) => {
    if (message.fresh) state.sections = {};
    const others = Object.keys(message.sections).some((name) => name !== "timebar");
    if (message.fresh || others || message.status.state !== state.status.state || message.status.message !== state.status.message) changes += 1;
    Object.assign(state.sections, message.sections);
    state.status = message.status;
    page.redraw();
  });
  return () => {
    unsubscribe();
    restored();
    for (const [, draw] of draws) draw.close?.();
    pace.close();
    stream.close();
    page.close();
  };
}

export default { render };

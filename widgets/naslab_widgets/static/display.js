// The frame of a panel: mounts the live panel at its place in the notebook, and hides the still picture of a saved file.

import { make } from "./elements.js";
import { GONE, heartbeat, goneText } from "./heartbeat.js";
import { truthLine } from "./kernel_line.js";
/** @import { DisplayMessage, Widget } from "./types.js" */

/**
 * A panel that is shown, its view, the picture below that it hides, and what watches that picture.
 * @typedef {object} PanelFrame
 * @property {HTMLElement} frame
 * @property {any} view
 * @property {ReturnType<typeof truthLine>} truth
 * @property {Element} [beneath]
 * @property {MutationObserver} [eye]
 * @property {[picture: Element, parent: ParentNode]} [taken]
 */
const HERE = 10000; // ms between two messages that the page is looked at
const TICK = 500;
const FAR = 20000; // ms without a beat after which the advice appears as well

/**
 * JupyterLab's context of the notebook; null elsewhere.
 * @param {any} manager
 */
const notebookOf = (manager) => (manager.context?.model?.cells ? manager.context : null);

/**
 * The outputs of a notebook whose HTML contains a class name.
 * @param {any} context
 * @param {string} name
 * @returns {Generator<{outputs: any, i: number}>}
 */
function* outputsWith(context, name) {
  for (const cell of context.model.cells) {
    for (let i = 0; cell.outputs && i < cell.outputs.length; i++) {
      const html = cell.outputs.get(i).data["text/html"];
      if (String(Array.isArray(html) ? html.join("") : html).includes(name)) yield { outputs: cell.outputs, i };
    }
  }
}

/**
 * @param {Pick<Widget, "model">} widget
 */
function initialize({ model }) {
  const description = model.get("description");
  const manager = model.widget_manager;
  const id = description.name;
  const name = `naslab-place-${id}`;
  const still = `naslab-still-${id}`;
  const places = document.getElementsByClassName(name);
  const context = notebookOf(manager);
  const session = context?.sessionContext;
  /** @type {Map<any, PanelFrame>} */
  const frames = new Map(); // place -> {frame, view, truth}
  const pulse = heartbeat(performance.now());
  let gone = "";
  let unsaved = false;
  let announced = -Infinity;

  /** @type {(content: object) => void} */
  const send = (content) => {
    if (!gone)
      try {
        model.send(content);
      } catch {
        die("");
      }
  };

  /** @type {(status: string) => void} */
  function die(status) {
    gone = gone || goneText(status);
    watch();
  }

  /** @type {(place: any) => Promise<void>} */
  async function mount(place) {
    if (frames.has(place) || place.dataset.naslab) return;
    place.dataset.naslab = "coming";
    try {
      const view = await manager.create_view(await manager.get_model(description.panel));
      if (!place.isConnected) return view.remove();
      const frame = make("div", "naslab-frame", place);
      const truth = truthLine(frame, description);
      truth.save.addEventListener("click", () => context?.save());
      const mounted = make("div", "naslab-mount", frame);
      const widget = view.luminoWidget ?? view.pWidget;
      if (widget?.constructor.attach) widget.constructor.attach(widget, mounted);
      else mounted.append(view.el);
      frames.set(place, { frame, view, truth });
      place.dataset.naslab = "here";
      unsaved = unsaved || Boolean(context?.model.dirty);
      cover();
      announced = performance.now();
      send({ type: "mounted" });
      watch();
    } catch (error) {
      delete place.dataset.naslab;
      console.warn("naslab: the panel cannot be shown", error);
    }
  }

  // Removes the still picture below a mounted panel from the page, and each one that replaces it; the notebook file keeps it.
  function cover() {
    for (const [place, one] of frames) {
      const output = place.closest(".jp-OutputArea-child");
      const beneath = output?.nextElementSibling;
      if (one.beneath === beneath || !beneath?.querySelector(`.${still}`)) continue;
      uncover(one);
      const take = () => {
        for (const picture of beneath.querySelectorAll(`.${still}`)) {
          one.taken = [picture, /** @type {ParentNode} */ (picture.parentNode)];
          picture.remove();
        }
      };
      one.beneath = beneath;
      one.eye = new MutationObserver(take);
      one.eye.observe(beneath, { childList: true, subtree: true });
      beneath.classList.add("naslab-beneath");
      take();
    }
  }

  /** @type {(frame: PanelFrame) => void} */
  function uncover({ beneath, eye, taken }) {
    eye?.disconnect();
    beneath?.classList.remove("naslab-beneath");
    if (taken) taken[1].append(taken[0]);
  }

  /** @type {(place: any) => void} */
  function drop(place) {
    const one = frames.get(place);
    if (!one) return;
    const { view, frame } = one;
    frames.delete(place);
    uncover(one);
    delete place.dataset.naslab;
    view.remove();
    frame.remove();
  }

  function watch() {
    const now = performance.now();
    for (const place of places) mount(place);
    for (const place of [...frames.keys()]) {
      if (place.isConnected) delete place.naslabLeft;
      else if (now - (place.naslabLeft ??= now) > 30000) drop(place);
    }
    const watching = frames.size > 0 && document.visibilityState === "visible";
    const offline = session?.session?.kernel && session.session.kernel.connectionStatus !== "connected";
    const silent = pulse.tick(now, watching && !offline, !session || session.session?.kernel?.status === "idle");
    if (watching && !gone && !silent && now - announced >= HERE) {
      announced = now;
      send({ type: "here" });
    }
    let kernel = "live";
    let text = "";
    if (gone) [kernel, text] = ["gone", gone];
    else if (offline && watching) [kernel, text] = ["quiet", "no connection to Jupyter's server; the page tries again"];
    else if (silent) [kernel, text] = ["quiet", `no news for ${Math.round(silent / 1000)} s: the kernel is stopped, or one operation holds it`];
    for (const { frame, truth } of frames.values()) {
      truth.say({ kernel, text, far: Boolean(gone) || silent > FAR, unsaved });
      if (frame.dataset.kernel === kernel && kernel === "live") continue;
      frame.dataset.kernel = kernel;
      for (const line of frame.querySelectorAll(".naslab-status")) line.dispatchEvent(new CustomEvent("naslab-kernel", { detail: { kernel } }));
    }
    cover();
  }

  // Asks for the newest picture if the notebook lacks it, as after a reload of the page.
  /** @type {(number: number) => void} */
  function check(number) {
    if (!context) return;
    for (const { outputs, i } of outputsWith(context, still)) {
      if (!String(outputs.get(i).data["text/html"]).includes(`${still}-${number} `)) return send({ type: "missing" });
    }
  }

  /** @type {(message: {number: number, bundle: Record<string, string>}) => void} */
  function exchange({ number, bundle }) {
    if (!context) return;
    for (const { outputs, i } of [...outputsWith(context, still)]) {
      const before = outputs.get(i).toJSON();
      if (!String(before.data["text/html"]).includes(`${still}-${number} `)) outputs.set(i, { ...before, data: { ...before.data, ...bundle } });
    }
    cover();
  }

  /** @type {(message: DisplayMessage) => void} */
  function onMessage(message) {
    if (message.type === "beat") pulse.beat(performance.now(), message.held);
    else if (message.type === "still") setTimeout(() => check(message.number), 700);
    else if (message.type === "bundle") exchange(message);
  }

  const seen = () => {
    if (document.visibilityState === "visible") {
      announced = -Infinity;
      watch();
    } else if (frames.size) send({ type: "leaving" });
  };
  /** @type {(event: AnimationEvent) => void} */
  const inserted = (event) => {
    const place = /** @type {Element} */ (event.target);
    if (event.animationName === "naslab-place" && place.classList.contains(name)) mount(place);
  };
  /** @type {(_: unknown, state: string) => unknown} */
  const status = (_, state) => GONE.has(state) && die(state);
  /** @type {(_: unknown, change: {oldValue: unknown, newValue: unknown}) => unknown} */
  const exchanged = (_, change) => change.oldValue && die(change.newValue ? "restarting" : "dead");
  /** @type {(_: unknown, state: string) => void} */
  const saved = (_, state) => {
    if (state === "completed") {
      unsaved = false;
      watch();
    }
  };

  model.on("msg:custom", onMessage);
  model.on("comm_live_update", () => manager.get_model(description.panel).then((/** @type {{comm_live: boolean}} */ panel) => panel.comm_live === false && die("restarting")));
  document.addEventListener("animationstart", inserted);
  document.addEventListener("visibilitychange", seen);
  session?.statusChanged.connect(status);
  session?.kernelChanged.connect(exchanged);
  context?.saveState.connect(saved);
  const clock = setInterval(watch, TICK);
  watch();

  return () => {
    clearInterval(clock);
    document.removeEventListener("animationstart", inserted);
    document.removeEventListener("visibilitychange", seen);
    session?.statusChanged.disconnect(status);
    session?.kernelChanged.disconnect(exchanged);
    context?.saveState.disconnect(saved);
    for (const place of [...frames.keys()]) drop(place);
  };
}

export default { initialize };

// The connection of a widget with Python: numbered messages that are acknowledged, and requested again if one is lost.

/** @import { Connection, Kernel, Numbered, Row, Timer } from "./types.js" */

/**
 * Rows of float64 from the bytes of a message.
 * @param {ArrayBufferView} buffer
 * @param {number} width
 * @returns {Row[]}
 */
export function unpack(buffer, width) {
  const numbers = new Float64Array(buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + buffer.byteLength));
  return Array.from({ length: numbers.length / width }, (_, row) => numbers.subarray(row * width, (row + 1) * width));
}

const UNHEARD = 2500; // ms without an answer to the first hello
const MOST_PATIENCE = 20000;
const renewed = new WeakMap(); // kernel -> when its widgets got another subshell, ms

/**
 * Gives the widgets of a kernel another subshell: JupyterLab makes a new one when the setting is switched off and on.
 * @param {Kernel} kernel
 */
function anotherSubshell(kernel) {
  const now = performance.now();
  if (now - (renewed.get(kernel) ?? -UNHEARD) < UNHEARD) return;
  renewed.set(kernel, now);
  const was = kernel.commsOverSubshells;
  if (was === "disabled") return;
  kernel.commsOverSubshells = "disabled";
  kernel.commsOverSubshells = was;
}

/**
 * Connects to Python: sends hello, again if a message is lost, and acknowledges twice a second. Messages without a number are
 * answers and are always received.
 * @template {Numbered} M
 * @param {Connection} model
 * @param {(message: M) => boolean} opens Whether a message needs none before it.
 * @param {(message: M, buffers: ArrayBufferView[]) => void} receive
 * @returns {{drawn: () => void, close: () => void}}
 */
export function connect(model, opens, receive) {
  /** @type {number | null} */
  let last = null;
  /** @type {Timer | undefined} */
  let timer;

  /** @type {(message: M, buffers: ArrayBufferView[]) => void} */
  function onMessage(message, buffers) {
    if (message.number !== undefined) {
      if (!opens(message)) {
        if (last === null) return; // meant for another view of this widget; this one waits for its snapshot
        if (message.number !== last + 1) {
          last = null;
          model.send({ type: "hello" });
          return;
        }
      }
      last = message.number;
    }
    receive(message, buffers);
  }

  // After a reload, the messages may go to a subshell that ended with the page before: nobody receives them.
  let patience = UNHEARD;
  let unheard = setTimeout(helloAgain, patience);
  function helloAgain() {
    const kernel = model.widget_manager?.kernel;
    if (last !== null || patience > MOST_PATIENCE || !kernel?.supportsSubshells) return;
    anotherSubshell(kernel);
    model.send({ type: "hello" });
    unheard = setTimeout(helloAgain, (patience *= 2));
  }

  model.on("msg:custom", onMessage);
  model.send({ type: "hello" });
  return {
    drawn() {
      if (timer === undefined && last !== null)
        timer = setTimeout(() => {
          timer = undefined;
          if (last !== null) model.send({ type: "ack", number: last });
        }, 500);
    },
    close() {
      clearTimeout(timer);
      clearTimeout(unheard);
      model.off("msg:custom", onMessage);
    },
  };
}

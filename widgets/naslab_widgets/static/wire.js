// The connection of a widget with Python: numbered messages, acknowledged, and asked for again when one is lost.

/** @import { Connection, Kernel, Message, Row, Timer } from "./types.js" */

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
const renewed = new WeakMap(); // kernel -> when its widgets were given another subshell, ms

/**
 * All widgets of a kernel talk through one subshell, which JupyterLab makes anew when it is switched off and on.
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
 * The talk with Python: says hello, notices a lost message and says it again, acknowledges twice a second.
 * `opens` tells the messages that need none before; messages without a number are answers and always received.
 * @param {Connection} model
 * @param {(message: Message) => boolean | undefined} opens Whether a message needs none before it.
 * @param {(message: Message, buffers: ArrayBufferView[]) => void} receive
 * @returns {{drawn: () => void, close: () => void}}
 */
export function connect(model, opens, receive) {
  /** @type {number | null} */
  let last = null;
  /** @type {Timer | undefined} */
  let timer;

  /** @type {(message: Message, buffers: ArrayBufferView[]) => void} */
  function hear(message, buffers) {
    if (message.number !== undefined) {
      if (!opens(message)) {
        if (last === null) return; // for another view of this widget: ours is coming
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

  // A page that was loaded anew may speak to a subshell of the kernel that is gone with the page before: nobody hears it.
  let patience = UNHEARD;
  let unheard = setTimeout(helloAgain, patience);
  function helloAgain() {
    const kernel = model.widget_manager?.kernel;
    if (last !== null || patience > MOST_PATIENCE || !kernel?.supportsSubshells) return;
    anotherSubshell(kernel);
    model.send({ type: "hello" });
    unheard = setTimeout(helloAgain, (patience *= 2));
  }

  model.on("msg:custom", hear);
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
      model.off("msg:custom", hear);
    },
  };
}

// What the pictures share: elements, the theme, a sharp canvas, the tooltip, and the stream of rows from Python.
// The files of this folder are joined into one module, shared first; which ones stands beside each view in Python.

export const MOST_ROWS = 4000;

export function make(tag, className, parent, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  if (parent) parent.append(element);
  return element;
}

// Keys pressed in here are not for the notebook. JupyterLab looks whether the element that has the focus says so, and then
// its parents; a rule of its own that fits the element itself comes before what a parent says.
export function keepKeys(root) {
  root.dataset.lmSuppressShortcuts = "true";
  root.tabIndex = -1; // a click beside all controls gives it the keyboard
  root.addEventListener("focusin", (event) => (event.target.dataset.lmSuppressShortcuts = "true"));
}

export function shape(tag, attributes, parent) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (parent) parent.append(element);
  return element;
}

// Text and ground as CSS resolved them; dark if the ground is.
export function readTheme(element) {
  const css = getComputedStyle(element);
  const [red, green, blue] = (css.backgroundColor.match(/[\d.]+/g) || [255, 255, 255]).map(Number);
  return { text: css.color, ground: css.backgroundColor, dark: 0.3 * red + 0.6 * green + 0.1 * blue < 128, font: css.fontFamily };
}

export const hue = (operation, theme) => operation.colours[theme.dark ? 1 : 0];

// By how much an element is enlarged on the page, by itself or what it is in.
export const zoomOf = (element) => element.currentCSSZoom || 1;

// A canvas as sharp as the screen; returns its context, scaled so that one unit is one CSS pixel.
export function sharp(canvas, width, height) {
  const ratio = (window.devicePixelRatio || 1) * zoomOf(canvas);
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = `${height}px`;
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return pen;
}

// A number as short as it can be told.
export const number = (value) => {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && size < 0.001) return value.toExponential(1);
  if (size >= (Number.isInteger(value) ? 1e13 : 1e7)) return value.toExponential(2);
  return Number.isInteger(value) ? String(value) : value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 3);
};

// A number with so many digits, in scientific notation where it is very large or small.
export const digits = (value, count) => (Number.isFinite(value) ? String(Number(value.toPrecision(count))) : "–");

// What a value is multiplied by to be read with its unit: a share is shown in per cent.
export const scaleOf = (unit) => (unit === "%" ? 100 : 1);

// A value, scaled, with its unit.
export const withUnit = (value, unit) => (Number.isFinite(value) && unit ? `${number(value)} ${unit}` : number(value));

// What stands at an end of an axis that goes from low to high.
export function endText(value, low, high) {
  const size = Math.max(Math.abs(low), Math.abs(high));
  if (size >= 1e5 || size < 1e-3) return value.toExponential(1);
  if (Number.isInteger(low) && Number.isInteger(high)) return value.toFixed(0);
  const span = high - low;
  return value.toFixed(span >= 20 ? 0 : span >= 2 ? 1 : span >= 0.05 ? 2 : 3);
}

// The ends of an axis: low and high with a share of the range beside them, and never the same number.
export function widened(low, high, share) {
  const size = Math.max(Math.abs(low), Math.abs(high));
  const slack = high - low <= 1e-12 * size ? 0.01 * size || 1e-3 : share * (high - low); // what differs by less is one number
  return [low - slack, high + slack];
}

// Round numbers from low to high, at most so many; the ends themselves where there are none.
export function roundTicks(low, high, most) {
  const size = 10 ** Math.floor(Math.log10((high - low) / most));
  const step = [1, 2, 5, 10].map((m) => m * size).find((each) => each > 0 && (high - low) / each <= most);
  if (!step) return [low, high];
  const first = Math.ceil(low / step);
  const count = Math.min(Math.floor(high / step) - first + 1, most + 2);
  return Array.from({ length: Math.max(0, count) }, (_, i) => (first + i) * step);
}

// Powers of ten from low to high, both positive; at most so many.
export function powersOfTen(low, high, most = 8) {
  const first = Math.ceil(Math.log10(low) - 1e-9);
  const last = Math.floor(Math.log10(high) + 1e-9);
  const stride = 1 + Math.floor(Math.max(0, last - first) / most);
  return Array.from({ length: Math.max(0, Math.floor((last - first) / stride) + 1) }, (_, i) => 10 ** (first + stride * i));
}

// Positive numbers over more powers of ten than these are drawn on a logarithmic axis.
export const DECADES = 4;

// lines: [{text, colour?, strong?}]; the first is the heading.
export function makeTooltip(root) {
  const box = make("div", "naslab-tooltip", root);
  return {
    show(event, lines) {
      box.replaceChildren();
      for (const { text, colour, strong } of lines) {
        const line = make("div", strong ? "naslab-strong" : "", box);
        if (colour) make("i", "", line).style.background = colour;
        make("span", "", line, text);
      }
      box.style.display = "block";
      const frame = root.getBoundingClientRect();
      const zoom = zoomOf(root);
      const x = (event.clientX - frame.left) / zoom;
      const y = (event.clientY - frame.top) / zoom;
      box.style.left = `${Math.max(0, x + 14 + box.offsetWidth > frame.width / zoom ? x - box.offsetWidth - 10 : x + 14)}px`;
      box.style.top = `${Math.max(0, Math.min(y + 12, frame.height / zoom - box.offsetHeight))}px`;
    },
    hide() {
      box.style.display = "none";
    },
  };
}

// A sheet that lies over the pictures, closed: {box, title, close}, where `close` is its button.
export function makeSheet(parent, className) {
  const box = make("aside", `naslab-sheet ${className}`.trim(), parent);
  box.style.display = "none";
  const head = make("div", "naslab-sheet-head", box);
  const title = make("h4", "", head);
  const close = make("button", "naslab-small", head, "×");
  close.title = "Close (Esc)";
  close.setAttribute("aria-label", "close");
  return { box, title, close };
}

// Python's own drawing: it becomes elements, and its texts stay texts.
export function placePicture(box, svg) {
  box.replaceChildren();
  if (!svg) return;
  const root = new DOMParser().parseFromString(svg, "image/svg+xml").documentElement;
  if (root.nodeName === "svg") box.append(document.importNode(root, true));
}

// The row whose step is nearest to the given one.
export function nearestRow(rows, step) {
  let low = 0;
  let high = rows.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (rows[middle][0] < step) low = middle;
    else high = middle;
  }
  return step - rows[low][0] < rows[high][0] - step ? rows[low] : rows[high];
}

export function unpack(buffer, width) {
  const numbers = new Float64Array(buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + buffer.byteLength));
  return Array.from({ length: numbers.length / width }, (_, row) => numbers.subarray(row * width, (row + 1) * width));
}

const UNHEARD = 2500; // ms without an answer to the first hello
const MOST_PATIENCE = 20000;
const renewed = new WeakMap(); // kernel -> when its widgets were given another subshell, ms

// All widgets of a kernel talk through one subshell, which JupyterLab makes anew when it is switched off and on.
function anotherSubshell(kernel) {
  const now = performance.now();
  if (now - (renewed.get(kernel) ?? -UNHEARD) < UNHEARD) return;
  renewed.set(kernel, now);
  const was = kernel.commsOverSubshells;
  if (was === "disabled") return;
  kernel.commsOverSubshells = "disabled";
  kernel.commsOverSubshells = was;
}

// The talk with Python: says hello, notices a lost message and says it again, acknowledges twice a second.
// `opens` tells the messages that need none before; messages without a number are answers and always received.
export function talk(model, opens, receive) {
  let last = null;
  let timer = null;

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
      if (timer === null && last !== null)
        timer = setTimeout(() => {
          timer = null;
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

// Rows of float64 from Python, kept below MOST_ROWS; and `near`, all rows around the step that Python was asked for last.
export function follow(model, width, changed) {
  const state = { rows: [], near: [], sections: {}, status: { state: "idle", step: 0, total: null, log: [], marks: [], rates: {} } };
  const opens = (message) => message.type === "snapshot";
  const { drawn, close } = talk(model, opens, (message, buffers) => {
    if (message.type === "moment") {
      state.near = unpack(buffers[0], width);
      return changed();
    }
    if (opens(message)) [state.rows, state.near] = [unpack(buffers[0], width), []];
    else state.rows.push(...unpack(buffers[0], width));
    state.status = message.status;
    if (opens(message)) state.sections = {};
    Object.assign(state.sections, message.sections);
    if (state.rows.length > MOST_ROWS) state.rows = state.rows.filter((_, i) => i % 2 === 0 || i === state.rows.length - 1);
    changed();
  });
  return { state, drawn, close };
}

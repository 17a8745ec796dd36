// The line that says how far the search is, its alarm, and the log below the pictures.

import { logAt } from "./moment.js";
import { digits, make, readTheme, scaleOf } from "./shared.js";

export function statusView(parent) {
  const line = make("div", "naslab-status", parent);
  const badge = make("span", "naslab-badge", line);
  const step = make("span", "naslab-count", line);
  const facts = make("span", "naslab-facts", line);

  function duration(seconds) {
    if (seconds < 90) return `${Math.round(seconds)} s left`;
    if (seconds < 5400) return `${Math.round(seconds / 60)} min left`;
    return `${(seconds / 3600).toFixed(1)} h left`;
  }

  // Where the kernel is not heard, what it said last is not how things are.
  let said = "idle";
  function sayState() {
    const kernel = line.closest(".naslab-frame")?.dataset.kernel || "live";
    line.dataset.state = kernel === "live" ? said : kernel;
    badge.textContent = { live: said, quiet: `was ${said}`, gone: "kernel gone" }[kernel];
  }
  line.addEventListener("naslab-kernel", sayState);

  return function draw({ status }) {
    const unit = status.unit || "step";
    said = status.state;
    sayState();
    line.dataset.step = status.step;
    step.textContent = `${unit} ${status.step.toLocaleString("en")}` + (status.total ? ` / ${status.total.toLocaleString("en")}` : "");
    const rate = status.rate >= 20 ? Math.round(status.rate).toLocaleString("en") : (status.rate || 0).toFixed(1);
    facts.textContent = [
      Number.isInteger(status.epoch) && `epoch ${status.epoch}`,
      status.rate > 0 && `${rate} ${unit}s/s`,
      Number.isFinite(status.left) && status.left !== null && duration(status.left),
      status.best && `${status.derived ? "best child judged once" : "best"} ${worthText(status.best.fitness, status.objective, 5)} (evaluation ${status.best.number.toLocaleString("en")})`,
      Number.isFinite(status.derived?.fitness) && `derived and judged again ${worthText(status.derived.fitness, status.objective, 5)}`,
      status.failed > 0 && `${status.failed.toLocaleString("en")} failed`,
      ...Object.entries(status.rates || {}).map(([name, value]) => `${name} ${typeof value === "number" ? digits(value, 3) : value}`),
    ]
      .filter(Boolean)
      .join("   ·   ");
    facts.title = facts.textContent;
  };
}

// What went wrong, while it does, or until it is put away; it lies over what is below, which does not move.
export function alarmView(parent) {
  const alarm = make("div", "naslab-alarm", make("div", "naslab-alarm-hold", parent));
  const text = make("span", "", alarm);
  alarm.setAttribute("role", "alert");
  const shut = make("button", "naslab-small", alarm, "✕");
  shut.type = "button";
  shut.title = "Put this away";
  shut.setAttribute("aria-label", "put the alarm away");
  let [message, away] = ["", ""];
  const show = () => (alarm.style.display = message && message !== away ? "" : "none");
  shut.addEventListener("click", () => {
    away = message;
    show();
  });
  return function draw({ status }) {
    message = status.message || "";
    if (!message) away = ""; // the same again is news
    if (text.textContent !== message) text.textContent = message;
    show();
  };
}

// A fitness as its objective was measured, with so many digits, and its unit.
export function worthText(fitness, objective, count) {
  const { sign = 1, unit = "" } = objective || {};
  const value = sign * scaleOf(unit) * fitness;
  return Number.isFinite(value) && unit ? `${digits(value, count)} ${unit}` : digits(value, count);
}

// What should be said wherever a result of the task is shown.
export function notesView(parent, notes) {
  for (const note of notes || []) make("div", "naslab-notes", parent, note);
}

export function logView(parent) {
  const box = make("div", "naslab-log", parent);
  return function draw({ status, at = null }) {
    box.replaceChildren();
    for (const { step, text, error } of [...logAt(status, at)].reverse()) {
      const line = make("div", error ? "naslab-error" : "", box);
      make("b", "", line, `step ${step}`);
      make("span", "", line, text);
    }
  };
}

// Draws at most once a frame, when asked to, when the size or the theme of the page changes; says what it has drawn.
export function keepDrawn(root, draw) {
  let waiting = false;
  function redraw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw(readTheme(root));
    });
  }
  const sizes = new ResizeObserver(redraw);
  sizes.observe(root);
  const themes = new MutationObserver(redraw);
  themes.observe(document.body, { attributes: true });
  redraw();
  return {
    redraw,
    close() {
      sizes.disconnect();
      themes.disconnect();
    },
  };
}

// The line that says how far the search is, and its alarm.

import { make } from "./elements.js";
import { digits, fitnessText } from "./numbers.js";
/** @import { Status } from "./types.js" */

/**
 * The line that says how far the search is.
 * @param {HTMLElement} parent
 * @returns {(state: {status: Status}) => void}
 */
export function statusView(parent) {
  const line = make("div", "naslab-status", parent);
  const badge = make("span", "naslab-badge", line);
  const step = make("span", "naslab-count", line);
  const facts = make("span", "naslab-facts", line);

  /** @type {(seconds: number) => string} */
  function duration(seconds) {
    if (seconds < 90) return `${Math.round(seconds)} s left`;
    if (seconds < 5400) return `${Math.round(seconds / 60)} min left`;
    return `${(seconds / 3600).toFixed(1)} h left`;
  }

  // While the kernel is silent, its last state may be out of date.
  let lastState = "idle";
  function showState() {
    const kernel = /** @type {HTMLElement | null} */ (line.closest(".naslab-frame"))?.dataset.kernel || "live";
    line.dataset.state = kernel === "live" ? lastState : kernel;
    badge.textContent = kernel === "live" ? lastState : kernel === "quiet" ? `was ${lastState}` : "kernel gone";
  }
  line.addEventListener("naslab-kernel", showState);

  return function draw({ status }) {
    const unit = status.unit || "step";
    lastState = status.state;
    showState();
    line.dataset.step = String(status.step);
    step.textContent = `${unit} ${status.step.toLocaleString("en")}` + (status.total ? ` / ${status.total.toLocaleString("en")}` : "");
    const { rate = 0, failed = 0, derived, left } = status;
    const pace = rate >= 20 ? Math.round(rate).toLocaleString("en") : rate.toFixed(1);
    facts.textContent = [
      Number.isInteger(status.epoch) && `epoch ${status.epoch}`,
      rate > 0 && `${pace} ${unit}s/s`,
      typeof left === "number" && Number.isFinite(left) && duration(left),
      status.best && `${derived ? "best child judged once" : "best"} ${fitnessText(status.best.fitness, status.objective, 5)} (evaluation ${status.best.number.toLocaleString("en")})`,
      typeof derived?.fitness === "number" && `derived and judged again ${fitnessText(derived.fitness, status.objective, 5)}`,
      failed > 0 && `${failed.toLocaleString("en")} failed`,
      ...Object.entries(status.rates || {}).map(([name, value]) => `${name} ${typeof value === "number" ? digits(value, 3) : value}`),
    ]
      .filter(Boolean)
      .join("   ·   ");
    facts.title = facts.textContent;
  };
}

/**
 * Shows what went wrong until it is over or dismissed; it covers what is below, so that nothing moves.
 * @param {HTMLElement} parent
 * @returns {(state: {status: Status}) => void}
 */
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
    if (!message) away = ""; // if it returns, it is shown again
    if (text.textContent !== message) text.textContent = message;
    show();
  };
}

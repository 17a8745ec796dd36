// Series of a metric: whether they are noisy, their running mean, their best, and the axis that suits them.

/** @import { Axis } from "./types.js" */

/**
 * Whether values go up and down much more than they go anywhere: their running mean then says more than they do. What is
 * counted has no unit, and is shown as it is.
 * @param {number[]} values
 * @param {string} unit
 * @returns {boolean}
 */
export function noisy(values, unit) {
  const known = values.filter(Number.isFinite);
  if (known.length < 3 || (!unit && known.every(Number.isInteger))) return false;
  let [way, low, high] = [0, known[0], known[0]];
  for (let i = 1; i < known.length; i++) {
    way += Math.abs(known[i] - known[i - 1]);
    low = Math.min(low, known[i]);
    high = Math.max(high, known[i]);
  }
  return way > 4 * (high - low);
}

/**
 * Exponential running mean with the zero-start corrected, over about a thirtieth of what is shown.
 * @param {number[]} values
 * @returns {number[]}
 */
export function smoothed(values) {
  const decay = 1 - 1 / Math.max(1, Math.min(50, values.length / 30));
  let sum = 0;
  let weight = 0;
  return values.map((value) => {
    if (Number.isFinite(value)) {
      sum = decay * sum + (1 - decay || 1) * value;
      weight = decay * weight + (1 - decay || 1);
    }
    return weight ? sum / weight : NaN;
  });
}

/**
 * The place of the best of the values, or -1.
 * @param {number[]} values
 * @param {"max" | "min" | null | undefined} direction
 * @returns {number}
 */
export function bestAt(values, direction) {
  let best = -1;
  if (direction) values.forEach((value, i) => Number.isFinite(value) && (best < 0 || (direction === "max" ? value > values[best] : value < values[best])) && (best = i));
  return best;
}

/**
 * The place of the step that is nearest to the given one.
 * @param {number[]} steps
 * @param {number} step
 * @returns {number}
 */
export function nearestPlace(steps, step) {
  let found = 0;
  steps.forEach((each, i) => Math.abs(each - step) < Math.abs(steps[found] - step) && (found = i));
  return found;
}

/**
 * Powers of ten suit what is positive, better if small, and no logarithm or share itself, over a wide range: a perplexity.
 * @param {{direction?: "max" | "min" | null, unit: string}} chart
 * @param {number} low
 * @param {number} high
 * @returns {boolean}
 */
export const suitsPowers = ({ direction, unit }, low, high) => direction === "min" && !["nats", "bits", "%"].includes(unit) && low > 0 && high > 30 * low;

/**
 * From value to a share of the height. An outlier may lie outside the axis, a trend never does.
 * @param {{direction?: "max" | "min" | null, unit: string}} chart
 * @param {number[][]} columns
 * @param {number[][]} [trends]
 * @returns {Axis}
 */
export function axisOf(chart, columns, trends = []) {
  let [low, high] = middle(columns);
  for (const value of trends.flat()) if (Number.isFinite(value)) [low, high] = [Math.min(low, value), Math.max(high, value)];
  const values = columns.flat().filter(Number.isFinite);
  const least = values.reduce((a, b) => Math.min(a, b), Infinity);
  if (least >= 0) low = Math.max(low, 0);
  if (chart.unit === "%" && values.every((value) => value <= 100)) high = Math.min(high, 100);
  if (!(high > low)) low = high - (Math.abs(high) / 100 || 1);
  const powers = suitsPowers(chart, Math.max(low, least), high);
  if (powers) low = Math.max(low, least);
  /** @type {(value: number) => number} */
  const place = powers ? (value) => Math.log(value / low) / Math.log(high / low) : (value) => (value - low) / (high - low);
  return { low, high, place, powers };
}

/**
 * The middle 98 %, so that one outlier does not flatten a curve.
 * @param {number[][]} columns
 * @returns {[number, number]}
 */
export function middle(columns) {
  const values = columns.flat().filter(Number.isFinite).sort((a, b) => a - b);
  if (!values.length) return [0, 1];
  if (values.every((value) => Number.isInteger(value) && Math.abs(value) < 1e6)) return [values[0], Math.max(values[0] + 1, values[values.length - 1])];
  const low = values[Math.floor(values.length * 0.01)];
  const high = values[Math.ceil(values.length * 0.99) - 1];
  const size = Math.max(Math.abs(low), Math.abs(high));
  const slack = Math.max((high - low) * 0.06, size * 1e-3) || 1e-6;
  return [low - slack, high + slack];
}

// Series of a metric: whether they are noisy, their running mean, their best, and the axis that suits them.

/** @import { Axis } from "./types.js" */

/**
 * True if the total variation of values is far larger than their range, so that a running mean is worth showing. Counts, which
 * have no unit, never are noisy.
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
 * Exponential moving average with bias correction, over about a thirtieth of the values.
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
 * The index of the best value, or -1.
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
 * The index of the step that is nearest to a given one.
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
 * True if a logarithmic axis suits: positive, better if small, over a wide range, and neither a logarithm nor a share (a
 * perplexity, for example).
 * @param {{direction?: "max" | "min" | null, unit: string}} chart
 * @param {number} low
 * @param {number} high
 * @returns {boolean}
 */
export const suitsPowers = ({ direction, unit }, low, high) => direction === "min" && !["nats", "bits", "%"].includes(unit) && low > 0 && high > 30 * low;

/**
 * The vertical axis of a chart. Outliers of `columns` may lie outside; `trends` never do.
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
 * The range of the middle 98 % of values, slightly widened, so that one outlier does not flatten a curve.
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

// Numbers as text.

/** @import { Objective } from "./types.js" */

/**
 * A number with about three significant digits.
 * @param {number} value
 * @returns {string}
 */
export const number = (value) => {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && size < 0.001) return value.toExponential(1);
  if (size >= (Number.isInteger(value) ? 1e13 : 1e7)) return value.toExponential(2);
  return Number.isInteger(value) ? String(value) : value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 3);
};

/**
 * A number with `count` significant digits, in scientific notation if it is very large or small.
 * @param {number} value
 * @param {number} count
 * @returns {string}
 */
export const digits = (value, count) => (Number.isFinite(value) ? String(Number(value.toPrecision(count))) : "–");

/**
 * A count with a unit prefix: 17.4k.
 * @param {number | null} value
 * @returns {string}
 */
export function shortCount(value) {
  if (value === null || !Number.isFinite(value)) return "–";
  const scales = /** @type {[number, string][]} */ ([[1e9, "G"], [1e6, "M"], [1e3, "k"], [0, ""]]);
  const [size, unit] = scales.find(([least]) => value >= least) ?? [1, ""];
  return digits(value / (size || 1), 3) + unit;
}

/**
 * The factor of a unit: shares are shown in per cent.
 * @param {string | undefined} unit
 * @returns {number}
 */
export const scaleOf = (unit) => (unit === "%" ? 100 : 1);

/**
 * A value that is already scaled, with its unit.
 * @param {number} value
 * @param {string} unit
 * @returns {string}
 */
export const withUnit = (value, unit) => (Number.isFinite(value) && unit ? `${number(value)} ${unit}` : number(value));

/**
 * A fitness as the value of its objective, with `count` significant digits and its unit.
 * @param {number} fitness
 * @param {Partial<Objective> | null | undefined} objective
 * @param {number} count
 * @returns {string}
 */
export function fitnessText(fitness, objective, count) {
  const { sign = 1, unit = "" } = objective || {};
  const value = sign * scaleOf(unit) * fitness;
  return Number.isFinite(value) && unit ? `${digits(value, count)} ${unit}` : digits(value, count);
}

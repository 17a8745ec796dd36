// Arithmetic of an edge: what is forbidden there, what a nudge of an alpha does to the shares, and the curves of the shares.

/** @import { Rules } from "./types.js" */

export const LAST = "an edge keeps at least one operation";
const POINTS = 60; // of a curve
const LEAST = 0.001; // share that a nudge leads to; 1 minus it at most

/**
 * What has to be added to an alpha for its operation to have that share: the softmax moves by the log of the odds.
 * @param {number} share
 * @param {number} target
 * @returns {number}
 */
export function nudgeBy(share, target) {
  /** @type {(value: number) => number} */
  const odds = (value) => Math.log(value / (1 - value));
  /** @type {(value: number) => number} */
  const clamped = (value) => Math.min(1 - LEAST, Math.max(LEAST, value));
  return Number.isFinite(share) && Number.isFinite(target) ? odds(clamped(target)) - odds(clamped(share)) : 0;
}

/**
 * The shares of an edge once so much is added to one alpha.
 * @param {number[]} shares
 * @param {number} operation
 * @param {number} by
 * @returns {number[]}
 */
export function nudged(shares, operation, by) {
  const weights = shares.map((share, i) => (i === operation ? share * Math.exp(by) : share));
  const sum = weights.reduce((all, weight) => all + weight, 0);
  return sum > 0 && Number.isFinite(sum) ? weights.map((weight) => weight / sum) : [...shares];
}

/**
 * What is forbidden of an operation on an edge, by rules as Python tells them: "here", "everywhere", "dropped" or "".
 * @param {Rules} rules
 * @param {number} part
 * @param {number} edge
 * @param {number} operation
 * @returns {"here" | "everywhere" | "dropped" | ""}
 */
export function ruleOf(rules, part, edge, operation) {
  if (rules.dropped[part].includes(edge)) return "dropped";
  if (rules.everywhere.includes(operation)) return "everywhere";
  return (rules.masks[part][edge] || []).includes(operation) ? "here" : "";
}

/**
 * Which operations an edge has left, by what its own row and what all edges forbid.
 * @param {Pick<Rules, "masks" | "everywhere">} rules
 * @param {number[]} has
 * @param {number} part
 * @param {number} edge
 * @returns {number[]}
 */
export function leftOf(rules, has, part, edge) {
  const masked = rules.masks[part][edge] || [];
  return has.filter((operation) => !masked.includes(operation) && !rules.everywhere.includes(operation));
}

/**
 * Curves of an edge, "x,y x,y ..." each in a box of 100 x 100, and all on one scale.
 * @param {ArrayLike<number>[]} rows
 * @param {number} start
 * @param {number[]} columns
 * @returns {string[]}
 */
export function curvesOf(rows, start, columns) {
  if (rows.length < 2) return columns.map(() => "");
  const stride = Math.max(1, Math.floor(rows.length / POINTS));
  const kept = rows.filter((_, i) => (rows.length - 1 - i) % stride === 0);
  const first = kept[0][0];
  const span = kept[kept.length - 1][0] - first || 1;
  const most = Math.max(1e-9, ...kept.map((row) => Math.max(...columns.map((column) => row[start + column]))));
  return columns.map((column) => kept.map((row) => `${(100 * (row[0] - first) / span).toFixed(1)},${(100 - 100 * row[start + column] / most).toFixed(1)}`).join(" "));
}

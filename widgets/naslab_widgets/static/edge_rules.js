// Arithmetic of an edge: what is forbidden there, what a nudge of an alpha does to the shares, and the curves of the shares.

/** @import { Rules } from "./types.js" */

export const LAST = "an edge keeps at least one operation";
const POINTS = 60; // points of a curve, at most
const LEAST = 0.001; // a nudge leads to a share between this and 1 minus this

/**
 * What to add to an alpha so that its operation gets a share of the softmax: the difference of the logits.
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
 * The softmax of an edge after `by` is added to one alpha.
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
 * Why an operation is forbidden on an edge: here, on all edges, because the edge is dropped, or not at all.
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
 * The operations of an edge that neither its own rule nor the rule for all edges forbids.
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
 * The shares of operations over the steps as points of polylines, in a box of 100 x 100 and on one scale.
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

// The scores of composed cells: a table, and a chart of their regret against evolution's.

import { sharp } from "./canvas.js";
import { make } from "./elements.js";
import { digits, number } from "./numbers.js";
/** @import { Attempt, ComposeDescription, Machine, Send, Theme } from "./types.js" */

export const HUMAN = ["#d55e00", "#f07a1f"];
export const MACHINE = ["#0072b2", "#3f9fe0"];

/**
 * A number with two decimals, if they say something.
 * @param {number} value
 * @returns {string}
 */
export const scoreText = (value) => (value === 0 || (Math.abs(value) >= 0.01 && Math.abs(value) < 1e7) ? value.toFixed(2) : number(value));

/**
 * The attempts, the newest first.
 * @param {HTMLElement} parent
 * @param {Pick<ComposeDescription, "metric">} description
 * @param {Send} act
 * @returns {(scores: Attempt[]) => void}
 */
export function scoreTable(parent, { metric }, act) {
  const box = make("div", "naslab-scores", parent);
  const table = make("table", "", box);
  const head = make("tr", "", make("thead", "", table));
  for (const title of ["#", metric.replaceAll("_", " "), "percentile", "true rank", "regret"]) make("th", "", head, title);
  const body = make("tbody", "", table);
  return function draw(scores) {
    body.replaceChildren();
    const best = Math.min(...scores.map((score) => score.rank));
    for (const score of [...scores].reverse()) {
      const row = make("tr", "", body);
      row.dataset.best = String(score.rank === best);
      row.title = "click to have this cell again";
      row.addEventListener("click", () => act({ type: "take", number: score.number }));
      for (const text of [score.number, scoreText(score.worth), score.percentile.toFixed(1), score.rank.toLocaleString("en"), scoreText(score.regret)]) make("td", "", row, String(text));
    }
  };
}

/**
 * The regret of the best so far: the reader's as a staircase, evolution's as median and quartiles.
 * @param {HTMLElement} parent
 * @param {Pick<ComposeDescription, "queries">} description
 * @returns {(scores: Attempt[], machine: Machine, theme: Theme) => void}
 */
export function duel(parent, { queries }) {
  const canvas = make("canvas", "naslab-duel", parent);
  const height = 190;
  return function draw(scores, machine, theme) {
    const width = canvas.clientWidth || 430;
    const pen = sharp(canvas, width, height);
    canvas.dataset.attempts = String(scores.length);
    canvas.dataset.machine = String(machine.median ? machine.median.length : 0);
    const frame = { x: 40, y: 22, width: width - 52, height: height - 54 };
    pen.font = `11px ${theme.font}`;
    pen.fillStyle = pen.strokeStyle = theme.text;
    pen.globalAlpha = 0.05;
    pen.fillRect(frame.x, frame.y, frame.width, frame.height);
    pen.globalAlpha = 0.9;
    pen.fillText("regret of the best so far", frame.x, 14);
    let best = Infinity;
    const yours = scores.map((score) => (best = Math.min(best, score.regret)));
    const { lower = [], upper = [] } = machine;
    const shown = [...upper, ...lower];
    const positive = [...shown, ...yours].filter((value) => value > 0);
    const low = Math.log10(Math.min(0.1, ...positive));
    const high = Math.log10(Math.max(5, ...positive)) + 0.05;
    /** @type {(value: number) => number} */
    const down = (value) => frame.y + frame.height * (1 - (Math.log10(Math.max(value, 10 ** low)) - low) / (high - low));
    /** @type {(query: number) => number} */
    const across = (query) => frame.x + (frame.width * (query - 1)) / Math.max(1, queries - 1);
    pen.textAlign = "right";
    for (let power = Math.ceil(low); power <= high; power += 1 + Math.floor((high - low) / 8)) {
      pen.globalAlpha = 0.75;
      pen.fillText(digits(10 ** power, 1), frame.x - 5, down(10 ** power) + 4);
      pen.globalAlpha = 0.14;
      pen.fillRect(frame.x, Math.round(down(10 ** power)), frame.width, 1);
    }
    pen.globalAlpha = 0.75;
    pen.textAlign = "center";
    for (const query of [1, Math.round(queries / 2), queries]) pen.fillText(String(query), across(query), frame.y + frame.height + 15);
    pen.fillText("queries", frame.x + frame.width / 4, frame.y + frame.height + 28);
    const [human, robot] = [HUMAN, MACHINE].map((pair) => pair[theme.dark ? 1 : 0]);
    if (machine.median) {
      pen.fillStyle = pen.strokeStyle = robot;
      pen.globalAlpha = 0.2;
      pen.beginPath();
      lower.forEach((value, i) => pen.lineTo(across(i + 1), down(value)));
      for (let i = upper.length - 1; i >= 0; i--) pen.lineTo(across(i + 1), down(upper[i]));
      pen.fill();
      pen.globalAlpha = 1;
      pen.lineWidth = 2;
      pen.beginPath();
      machine.median.forEach((value, i) => pen.lineTo(across(i + 1), down(value)));
      pen.stroke();
    }
    pen.fillStyle = pen.strokeStyle = human;
    pen.globalAlpha = 1;
    pen.lineWidth = 2.4;
    pen.beginPath();
    yours.slice(0, queries).forEach((value, i) => {
      if (i) pen.lineTo(across(i + 1), down(yours[i - 1]));
      pen.lineTo(across(i + 1), down(value));
    });
    pen.stroke();
    yours.slice(0, queries).forEach((value, i) => {
      pen.beginPath();
      pen.arc(across(i + 1), down(value), 3.4, 0, 7);
      pen.fill();
    });
    pen.textAlign = "right";
    let right = frame.x + frame.width;
    for (const [label, colour] of [[machine.median ? `evolution, ${machine.seeds} runs` : "evolution is at work", robot], ["you", human]]) {
      pen.fillStyle = theme.text;
      pen.globalAlpha = 0.9;
      pen.fillText(label, right, 14);
      right -= pen.measureText(label).width + 6;
      pen.fillStyle = colour;
      pen.globalAlpha = 1;
      pen.fillRect(right - 12, 8, 12, 4);
      right -= 24;
    }
    pen.textAlign = "left";
  };
}

// Compose a cell: click an edge, click its operation, submit; the scores, and the machine at as many queries.

import { digits, hue, keepKeys, make, number, readTheme, shape, sharp } from "./shared.js";

export const HUMAN = ["#d55e00", "#f07a1f"];
export const MACHINE = ["#0072b2", "#3f9fe0"];

// With two digits behind the point, where that says something.
export const plain = (value) => (value === 0 || (Math.abs(value) >= 0.01 && Math.abs(value) < 1e7) ? value.toFixed(2) : number(value));

export function cellEditor(parent, { operations, size, nodes, edges }, act) {
  make("h4", "", parent, "your cell: click an edge, then its operation");
  const root = shape("svg", { class: "naslab-cell", viewBox: `0 0 ${size[0]} ${size[1]}`, role: "group", "aria-label": "cell" }, parent);
  const palette = make("div", "naslab-palette", parent);
  let selected = 0;
  let redraw = () => {};
  const lines = shape("g", {}, root);
  const names = shape("g", {}, root);

  function select(edge) {
    selected = edge;
    redraw();
  }

  const drawn = edges.map(({ path, label, name }, edge) => {
    const line = shape("path", { d: path, class: "naslab-edge" }, lines);
    const reach = shape("path", { d: path, class: "naslab-reach" }, lines);
    const group = shape("g", { class: "naslab-name", transform: `translate(${label[0]} ${label[1]})`, tabindex: 0, role: "button", "aria-label": `edge ${name}` }, names);
    const box = shape("rect", { y: -9, height: 18, rx: 5 }, group);
    const text = shape("text", { y: 3.5 }, group);
    for (const target of [reach, group]) target.addEventListener("click", () => select(edge));
    group.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      select(edge);
    });
    return { line, group, box, text };
  });
  for (const { label, at } of nodes) {
    const group = shape("g", { class: "naslab-node", transform: `translate(${at[0]} ${at[1]})` }, root);
    shape("circle", { r: 15 }, group);
    shape("text", { y: 4 }, group).textContent = label;
  }
  const buttons = operations.map((operation, number) => {
    const button = make("button", "", palette);
    button.type = "button";
    make("i", "", button);
    make("span", "", button, operation.name);
    button.addEventListener("click", () => act({ type: "choose", edge: selected, operation: number }));
    return button;
  });
  const submit = make("button", "naslab-submit", palette, "Submit");
  submit.type = "button";
  submit.addEventListener("click", () => act({ type: "submit" }));

  function draw(chosen, theme) {
    drawn.forEach(({ line, group, box, text }, edge) => {
      const operation = operations[chosen[edge]];
      const colour = hue(operation, theme);
      line.style.stroke = colour;
      line.style.strokeWidth = edge === selected ? 7 : 4;
      line.style.strokeDasharray = operation.name === "none" ? "2 7" : "";
      text.textContent = operation.name;
      const room = 6 * operation.name.length + 12;
      box.setAttribute("x", -room / 2);
      box.setAttribute("width", room);
      box.style.stroke = colour;
      group.classList.toggle("naslab-chosen", edge === selected);
    });
    buttons.forEach((button, number) => {
      button.firstChild.style.background = hue(operations[number], theme);
      button.setAttribute("aria-pressed", chosen[selected] === number);
    });
  }
  return { draw, onChange: (f) => (redraw = f) };
}

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
      row.dataset.best = score.rank === best;
      row.title = "click to have this cell again";
      row.addEventListener("click", () => act({ type: "take", number: score.number }));
      for (const text of [score.number, plain(score.worth), score.percentile.toFixed(1), score.rank.toLocaleString("en"), plain(score.regret)]) make("td", "", row, String(text));
    }
  };
}

// Regret of the best so far: yours as steps, the machine's median and middle half.
export function duel(parent, { queries }) {
  const canvas = make("canvas", "naslab-duel", parent);
  const height = 190;
  return function draw(scores, machine, theme) {
    const width = canvas.clientWidth || 430;
    const pen = sharp(canvas, width, height);
    canvas.dataset.attempts = scores.length;
    canvas.dataset.machine = machine.median ? machine.median.length : 0;
    const frame = { x: 40, y: 22, width: width - 52, height: height - 54 };
    pen.font = `11px ${theme.font}`;
    pen.fillStyle = pen.strokeStyle = theme.text;
    pen.globalAlpha = 0.05;
    pen.fillRect(frame.x, frame.y, frame.width, frame.height);
    pen.globalAlpha = 0.9;
    pen.fillText("regret of the best so far", frame.x, 14);
    let best = Infinity;
    const yours = scores.map((score) => (best = Math.min(best, score.regret)));
    const shown = machine.upper ? [...machine.upper, ...machine.lower] : [];
    const positive = [...shown, ...yours].filter((value) => value > 0);
    const low = Math.log10(Math.min(0.1, ...positive));
    const high = Math.log10(Math.max(5, ...positive)) + 0.05;
    const down = (value) => frame.y + frame.height * (1 - (Math.log10(Math.max(value, 10 ** low)) - low) / (high - low));
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
      machine.lower.forEach((value, i) => pen.lineTo(across(i + 1), down(value)));
      for (let i = machine.upper.length - 1; i >= 0; i--) pen.lineTo(across(i + 1), down(machine.upper[i]));
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

function render({ model, el }) {
  const description = model.get("description");
  const act = (message) => model.send(message);
  const root = make("div", "naslab", el);
  keepKeys(root);
  const grid = make("div", "naslab-compose", root);
  const editor = cellEditor(make("section", "naslab-card", grid), description, act);
  const results = make("section", "naslab-card", grid);
  const drawDuel = duel(results, description);
  const drawScores = scoreTable(results, description, act);
  const said = make("div", "naslab-said", root);
  said.setAttribute("role", "status");

  function draw() {
    const theme = readTheme(root);
    editor.draw(model.get("chosen"), theme);
    drawDuel(model.get("scores"), model.get("machine"), theme);
    drawScores(model.get("scores"));
    said.textContent = model.get("message") || "Which six operations make the best cell? Each submission is a query.";
  }
  editor.onChange(draw);
  const names = ["chosen", "scores", "machine", "message"].map((name) => `change:${name}`);
  for (const name of names) model.on(name, draw);
  const sizes = new ResizeObserver(draw);
  sizes.observe(root);
  const themes = new MutationObserver(draw);
  themes.observe(document.body, { attributes: true });
  return () => {
    for (const name of names) model.off(name, draw);
    sizes.disconnect();
    themes.disconnect();
  };
}

export default { render };

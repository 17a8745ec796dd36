// The whole view: status line, legend, a card for each part (graph and curves), the figures, the log.

function statusView(parent) {
  const line = make("div", "naslab-status", parent);
  const badge = make("span", "naslab-badge", line);
  const step = make("span", "naslab-count", line);
  const facts = make("span", "naslab-facts", line);
  const bar = make("div", "naslab-progress", parent);
  const done = make("div", "", bar);
  const alarm = make("div", "naslab-alarm", parent);
  alarm.setAttribute("role", "alert");

  function duration(seconds) {
    if (seconds < 90) return `${Math.round(seconds)} s left`;
    if (seconds < 5400) return `${Math.round(seconds / 60)} min left`;
    return `${(seconds / 3600).toFixed(1)} h left`;
  }

  return function draw({ status }) {
    line.dataset.state = status.state;
    line.dataset.step = status.step;
    badge.textContent = status.state;
    step.textContent = `step ${status.step.toLocaleString("en")}` + (status.total ? ` / ${status.total.toLocaleString("en")}` : "");
    const rate = status.rate >= 20 ? status.rate.toFixed(0) : (status.rate || 0).toFixed(1);
    facts.textContent = [
      Number.isInteger(status.epoch) && `epoch ${status.epoch}`,
      status.rate > 0 && `${rate} steps/s`,
      Number.isFinite(status.left) && status.left !== null && duration(status.left),
      ...Object.entries(status.rates || {}).map(([name, value]) => `${name} ${Number(value).toPrecision(3)}`),
    ]
      .filter(Boolean)
      .join("   ·   ");
    bar.style.visibility = status.total ? "" : "hidden";
    done.style.width = `${status.total ? (100 * status.step) / status.total : 0}%`;
    alarm.textContent = status.message || "";
    alarm.style.display = status.message ? "" : "none";
  };
}

function logView(parent) {
  const box = make("div", "naslab-log", parent);
  return function draw({ status }) {
    box.replaceChildren();
    for (const { step, text, error } of [...status.log].reverse()) {
      const line = make("div", error ? "naslab-error" : "", box);
      make("b", "", line, `step ${step}`);
      make("span", "", line, text);
    }
  };
}

function render({ model, el }) {
  const { operations, parts, charts, metrics, width } = model.get("description");
  const root = make("div", "naslab", el);
  const tooltip = makeTooltip(root);
  const views = [statusView(root)];
  let focus = null;

  const legend = make("div", "naslab-legend", root);
  const chips = operations.map((operation, index) => {
    const chip = make("span", "", legend);
    make("i", "", chip);
    make("span", "", chip, operation.name);
    chip.addEventListener("mouseenter", () => ((focus = index), redraw()));
    chip.addEventListener("mouseleave", () => ((focus = null), redraw()));
    return chip;
  });

  const grid = make("div", `naslab-parts naslab-parts-${parts.length}`, root);
  for (const part of parts) {
    const card = make("section", "naslab-card", grid);
    make("h4", "", card, part.name === "cell" ? "cell" : `${part.name} cell`);
    views.push(cellView(card, part, operations, tooltip), alphaView(card, part, operations, tooltip));
  }
  views.push(curvesView(make("section", "naslab-card", root), charts, metrics, tooltip), logView(root));

  let waiting = false;
  function redraw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      const theme = readTheme(root);
      chips.forEach((chip, i) => (chip.firstChild.style.background = hue(operations[i], theme)));
      for (const draw of views) draw(stream.state, theme, focus);
      stream.drawn();
    });
  }

  const stream = follow(model, width, redraw);
  const sizes = new ResizeObserver(redraw);
  sizes.observe(root);
  const themes = new MutationObserver(redraw);
  themes.observe(document.body, { attributes: true });
  redraw();
  return () => {
    stream.close();
    sizes.disconnect();
    themes.disconnect();
  };
}

export default { render };

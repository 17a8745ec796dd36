// softmax(alpha) of one part: a small chart for each edge, and the whole matrix as a heat map.

function alphaView(parent, part, operations, tooltip, { charts = true } = {}) {
  const canvas = make("canvas", "naslab-alpha", parent);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `softmax of alpha, ${part.name}`);
  const count = operations.length;
  const edges = part.labels.length;
  const TOP = 18; // pixels for the heading
  let drawn = null;

  // Where everything stands at this width: charts on the left, the heat map on the right.
  function arrange(width) {
    const cell = edges > 9 ? 14 : 18;
    const heatWidth = 46 + count * cell;
    if (!charts) return { width: heatWidth + 14, height: TOP + edges * cell + 12, heat: { x: 60, y: TOP + 10, cell } };
    const room = width - heatWidth - 18;
    const lines = Math.ceil(edges / Math.max(2, Math.min(Math.ceil(Math.sqrt(1.4 * edges)), 5, Math.floor(room / 64))));
    const columns = Math.ceil(edges / lines);
    const height = TOP + Math.max(lines * 56, edges * cell + 12, 110);
    return {
      width,
      height,
      columns,
      chart: { width: room / columns, height: Math.min(90, (height - TOP) / lines) },
      heat: { x: width - heatWidth + 46, y: TOP + 10, cell },
    };
  }

  function limits(rows) {
    let low = 1;
    let high = 0;
    for (const row of rows)
      for (let i = part.probabilities; i < part.probabilities + edges * count; i++) {
        if (row[i] < low) low = row[i];
        if (row[i] > high) high = row[i];
      }
    if (!rows.length) [low, high] = [0, 1];
    const slack = Math.max(0, 0.02 - (high - low)) / 2;
    return [Math.max(0, low - slack), Math.min(1, high + slack)];
  }

  const frameOf = (place, edge) => ({
    x: (edge % place.columns) * place.chart.width,
    y: TOP + Math.floor(edge / place.columns) * place.chart.height + 14,
    width: place.chart.width - 10,
    height: place.chart.height - 20,
  });

  // otherwise: for each edge, what other searches keep there instead.
  function draw({ rows, otherwise = [] }, theme, focus, hidden = false) {
    canvas.style.display = hidden ? "none" : "";
    const place = arrange(canvas.clientWidth || 500);
    if (!charts) canvas.style.width = `${place.width}px`;
    const pen = sharp(canvas, place.width, place.height);
    const [low, high] = limits(rows);
    const first = rows.length ? rows[0][0] : 0;
    const span = rows.length ? Math.max(1, rows[rows.length - 1][0] - first) : 1;
    drawn = { place, rows, low, high, first, span, theme, otherwise };
    pen.font = `10px ${theme.font}`;
    pen.fillStyle = theme.text;
    pen.globalAlpha = 0.6;
    pen.fillText(`softmax(α)  ${low.toFixed(2)} – ${high.toFixed(2)}`, 1, 10);
    for (let edge = 0; edge < edges && charts; edge++) drawChart(pen, edge, frameOf(place, edge), focus);
    if (rows.length) drawHeat(pen, rows[rows.length - 1], focus);
    canvas.dataset.step = rows.length ? rows[rows.length - 1][0] : 0;
  }

  function drawChart(pen, edge, { x, y, width, height }, focus) {
    const { rows, low, high, first, span, theme } = drawn;
    pen.fillStyle = theme.text;
    pen.globalAlpha = 0.75;
    pen.fillText(part.labels[edge], x + 1, y - 4);
    pen.globalAlpha = 0.06;
    pen.fillRect(x, y, width, height);
    const stride = Math.max(1, Math.floor(rows.length / (2 * width)));
    const fall = (value) => y + height * (1 - (value - low) / (high - low));
    for (let operation = 0; operation < count; operation++) {
      const column = part.probabilities + edge * count + operation;
      pen.globalAlpha = focus === null || focus === operation ? 1 : 0.12;
      pen.strokeStyle = hue(operations[operation], theme);
      pen.lineWidth = focus === operation ? 2.2 : 1.4;
      pen.beginPath();
      for (let i = 0; i < rows.length; i += stride) {
        const row = rows[i + stride < rows.length ? i : rows.length - 1];
        pen.lineTo(x + (width * (row[0] - first)) / span, fall(row[column]));
      }
      pen.stroke();
    }
    pen.globalAlpha = 1;
  }

  function drawHeat(pen, row, focus) {
    const { place, theme } = drawn;
    const { x, y, cell } = place.heat;
    const ink = theme.dark ? "#7cc8f4" : "#0b4f8a";
    const values = row.subarray(part.probabilities, part.probabilities + edges * count);
    const [least, most] = [Math.min(...values), Math.max(...values)];
    for (let operation = 0; operation < count; operation++) {
      pen.globalAlpha = focus === null || focus === operation ? 1 : 0.2;
      pen.fillStyle = hue(operations[operation], theme);
      pen.fillRect(x + operation * cell, y - 9, cell - 1, 5);
    }
    for (let edge = 0; edge < edges; edge++) {
      pen.globalAlpha = 0.75;
      pen.fillStyle = theme.text;
      pen.textAlign = "right";
      pen.fillText((drawn.otherwise[edge]?.length ? "≠ " : "") + part.labels[edge], x - 5, y + edge * cell + cell / 2 + 3);
      pen.textAlign = "left";
      for (let operation = 0; operation < count; operation++) {
        const share = (values[edge * count + operation] - least) / Math.max(most - least, 1e-6);
        pen.fillStyle = ink;
        pen.globalAlpha = 0.05 + 0.95 * share;
        pen.fillRect(x + operation * cell, y + edge * cell, cell - 1, cell - 1);
      }
      const kept = row[part.kept + edge];
      if (kept >= 0) {
        pen.globalAlpha = 1;
        pen.strokeStyle = theme.text;
        pen.lineWidth = 1.5;
        pen.strokeRect(x + kept * cell + 0.5, y + edge * cell + 0.5, cell - 2, cell - 2);
      }
    }
    pen.globalAlpha = 1;
  }

  // Which edge, row and operation are under the pointer; null outside.
  function find(x, y) {
    const { place, rows, low, high, first, span } = drawn;
    const heat = place.heat;
    const edge = Math.floor((y - heat.y) / heat.cell);
    const operation = Math.floor((x - heat.x) / heat.cell);
    if (operation >= 0 && operation < count && edge >= 0 && edge < edges) return { edge, operation, row: rows[rows.length - 1] };
    for (let chart = 0; chart < edges && charts; chart++) {
      const frame = frameOf(place, chart);
      if (x < frame.x || x > frame.x + frame.width || y < frame.y - 12 || y > frame.y + frame.height + 4) continue;
      const row = nearestRow(rows, first + (span * (x - frame.x)) / frame.width);
      const value = low + (high - low) * (1 - (y - frame.y) / frame.height);
      let nearest = 0;
      for (let i = 1; i < count; i++) {
        const column = part.probabilities + chart * count;
        if (Math.abs(row[column + i] - value) < Math.abs(row[column + nearest] - value)) nearest = i;
      }
      return { edge: chart, operation: nearest, row };
    }
    return null;
  }

  canvas.addEventListener("mousemove", (event) => {
    if (!drawn || !drawn.rows.length) return;
    const found = find(event.offsetX, event.offsetY);
    if (!found) return tooltip.hide();
    const value = (operation) => found.row[part.probabilities + found.edge * count + operation];
    const order = operations.map((_, i) => i).sort((a, b) => value(b) - value(a));
    tooltip.show(event, [
      { text: `${part.name}  ${part.labels[found.edge]}  ·  step ${found.row[0]}`, strong: true },
      ...order.map((i) => ({
        text: `${value(i).toFixed(3)}  ${operations[i].name}`,
        colour: hue(operations[i], drawn.theme),
        strong: i === found.operation,
      })),
    ]);
  });
  canvas.addEventListener("mouseleave", tooltip.hide);
  return draw;
}

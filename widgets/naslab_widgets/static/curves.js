// Losses, accuracies and the other figures of a search, one small chart each; noisy ones with their running mean.

const SERIES = [["#0072b2", "#3f9fe0"], ["#d55e00", "#f07a1f"], ["#009e73", "#12b98a"], ["#cc79a7", "#dd8fba"]];
const NOISY = /_(loss|accuracy)$|gap$/;

// Exponential running mean with the zero-start corrected, over about a thirtieth of what is shown.
function smoothed(values) {
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

// The middle 98 %, so that one outlier does not flatten a curve.
function middle(columns) {
  const values = columns.flat().filter(Number.isFinite).sort((a, b) => a - b);
  if (!values.length) return [0, 1];
  if (values.every((value) => Number.isInteger(value) && Math.abs(value) < 1e6)) return [values[0], Math.max(values[0] + 1, values[values.length - 1])];
  const low = values[Math.floor(values.length * 0.01)];
  const high = values[Math.ceil(values.length * 0.99) - 1];
  const size = Math.max(Math.abs(low), Math.abs(high));
  const slack = Math.max((high - low) * 0.06, size * 1e-3) || 1e-6;
  return [low - slack, high + slack];
}

function curvesView(parent, charts, metrics, tooltip) {
  const canvas = make("canvas", "naslab-curves", parent);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", charts.map(({ title }) => title).join(", "));
  let drawn = null;

  function arrange(width) {
    const columns = Math.min(charts.length, width > 760 ? 5 : width > 420 ? 3 : 2);
    const height = 118;
    return { width, columns, cell: width / columns, line: height, height: height * Math.ceil(charts.length / columns) };
  }

  const frameOf = (place, index) => ({
    x: (index % place.columns) * place.cell + 30,
    y: Math.floor(index / place.columns) * place.line + 22,
    width: place.cell - 44,
    height: place.line - 40,
  });

  function draw({ rows, status }, theme) {
    const place = arrange(canvas.clientWidth || 900);
    const pen = sharp(canvas, place.width, place.height);
    const first = rows.length ? rows[0][0] : 0;
    const span = rows.length ? Math.max(1, rows[rows.length - 1][0] - first) : 1;
    drawn = { place, rows, first, span, theme, shown: [] };
    pen.font = `10px ${theme.font}`;
    charts.forEach((chart, index) => {
      const raw = chart.series.map(([name]) => rows.map((row) => row[metrics[name]]));
      const mean = chart.series.map(([name], i) => (NOISY.test(name) ? smoothed(raw[i]) : raw[i]));
      drawn.shown.push({ raw, mean });
      drawChart(pen, chart, frameOf(place, index), raw, mean, status.marks);
    });
    canvas.dataset.step = rows.length ? rows[rows.length - 1][0] : 0;
  }

  function drawChart(pen, chart, { x, y, width, height }, raw, mean, marks) {
    const { rows, first, span, theme } = drawn;
    const [low, high] = middle(raw);
    const across = (step) => x + (width * (step - first)) / span;
    const down = (value) => y + height * (1 - (value - low) / (high - low));
    pen.globalAlpha = 1;
    pen.fillStyle = theme.text;
    pen.font = `600 11px ${theme.font}`;
    pen.fillText(chart.title, x, y - 8);
    pen.font = `10px ${theme.font}`;
    pen.globalAlpha = 0.06;
    pen.fillRect(x, y, width, height);
    if (!rows.length) return;
    pen.globalAlpha = 0.55;
    pen.textAlign = "right";
    pen.fillText(endText(high, low, high), x - 4, y + 8);
    pen.fillText(endText(low, low, high), x - 4, y + height);
    pen.textAlign = "left";
    pen.save();
    pen.beginPath();
    pen.rect(x, y - 1, width, height + 2);
    pen.clip();
    pen.strokeStyle = theme.text;
    pen.setLineDash([2, 3]);
    for (const [step] of marks) {
      pen.globalAlpha = 0.5;
      pen.beginPath();
      pen.moveTo(across(step), y);
      pen.lineTo(across(step), y + height);
      pen.stroke();
    }
    pen.setLineDash([]);
    const stride = Math.max(1, Math.floor(rows.length / (2 * width)));
    const trace = (values) => {
      pen.beginPath();
      let open = false;
      for (let i = 0; i < rows.length; i += stride) {
        if (Number.isFinite(values[i])) open ? pen.lineTo(across(rows[i][0]), down(values[i])) : pen.moveTo(across(rows[i][0]), down(values[i]));
        open = Number.isFinite(values[i]);
      }
      pen.stroke();
    };
    chart.series.forEach((_, i) => {
      pen.strokeStyle = SERIES[i][theme.dark ? 1 : 0];
      if (raw[i] !== mean[i]) {
        pen.globalAlpha = 0.22;
        pen.lineWidth = 1;
        trace(raw[i]);
      }
      pen.globalAlpha = 1;
      pen.lineWidth = 1.8;
      trace(mean[i]);
    });
    pen.restore();
    if (chart.series.length > 1) {
      let right = x + width;
      for (let i = chart.series.length - 1; i >= 0; i--) {
        const label = chart.series[i][1];
        right -= pen.measureText(label).width;
        pen.globalAlpha = 0.8;
        pen.fillStyle = theme.text;
        pen.fillText(label, right, y - 8);
        pen.globalAlpha = 1;
        pen.fillStyle = SERIES[i][theme.dark ? 1 : 0];
        pen.fillRect(right - 12, y - 13, 8, 4);
        right -= 20;
      }
    }
    pen.globalAlpha = 0.55;
    pen.fillStyle = theme.text;
    pen.fillText(String(first), x, y + height + 12);
    pen.textAlign = "right";
    pen.fillText(String(first + span), x + width, y + height + 12);
    pen.textAlign = "left";
    pen.globalAlpha = 1;
  }

  canvas.addEventListener("mousemove", (event) => {
    if (!drawn || !drawn.rows.length) return;
    const { place, rows, first, span, shown, theme } = drawn;
    const index = charts.findIndex((_, i) => {
      const frame = frameOf(place, i);
      return event.offsetX >= frame.x && event.offsetX <= frame.x + frame.width && event.offsetY >= frame.y - 18 && event.offsetY <= frame.y + frame.height + 14;
    });
    if (index < 0) return tooltip.hide();
    const frame = frameOf(place, index);
    const at = rows.indexOf(nearestRow(rows, first + (span * (event.offsetX - frame.x)) / frame.width));
    const { raw, mean } = shown[index];
    tooltip.show(event, [
      { text: `${charts[index].title}  ·  step ${rows[at][0]}`, strong: true },
      ...charts[index].series.map(([, label], i) => ({
        text: `${label}  ${number(raw[i][at])}` + (raw[i] === mean[i] ? "" : `   mean ${number(mean[i][at])}`),
        colour: SERIES[i][theme.dark ? 1 : 0],
      })),
    ]);
  });
  canvas.addEventListener("mouseleave", tooltip.hide);
  return draw;
}

// A learning-rate range test: the losses at growing rates, as a curve in which a rate is picked.

import { endText, powersOfTen } from "./axis.js";
import { make, shape } from "./elements.js";
import { digits, withUnit } from "./numbers.js";
/** @import { RangeTest, SectionContext } from "./types.js" */

const SIZE = { width: 400, height: 168, left: 44, right: 12, top: 12, bottom: 30 };

/**
 * The axes of the picture: rates are logarithmic, losses above `high` are clamped.
 * @param {Pick<RangeTest, "points" | "low" | "high" | "now">} test
 * @returns {{first: number, last: number, x: (rate: number) => number, y: (loss: number) => number}}
 */
export function placesOf({ points, low, high, now }) {
  const { width, height, left, right, top, bottom } = SIZE;
  const ends = [points[0][0], points[points.length - 1][0], ...(now > 0 ? [now] : [])];
  const [first, last] = [Math.min(...ends), Math.max(...ends)];
  const span = Math.log(last / first) || 1;
  return {
    first,
    last,
    x: (rate) => left + ((width - left - right) * Math.log(rate / first)) / span,
    y: (loss) => height - bottom - ((height - top - bottom) * (Math.min(loss, high) - low)) / (high - low || 1),
  };
}

/**
 * The index of the point whose rate is nearest to a horizontal place in the picture.
 * @param {Pick<RangeTest, "points" | "low" | "high" | "now">} test
 * @param {number} across
 * @returns {number}
 */
export function nearestRate(test, across) {
  const { x } = placesOf(test);
  return test.points.reduce((best, [rate], i) => (Math.abs(x(rate) - across) < Math.abs(x(test.points[best][0]) - across) ? i : best), 0);
}

/**
 * The curve of one learning rate, in which a rate is picked by pointer or keys.
 * @param {HTMLElement} parent
 * @param {Pick<SectionContext, "send" | "tooltip">} context
 * @returns {{draw: (test: RangeTest) => void, remove: () => void}}
 */
export function rangeTestView(parent, { send, tooltip }) {
  const card = make("div", "naslab-rate", parent);
  const title = make("div", "naslab-rate-title", card);
  const picture = shape("svg", { viewBox: `0 0 ${SIZE.width} ${SIZE.height}`, tabindex: 0, role: "slider", class: "naslab-rate-picture" }, card);
  const foot = make("div", "naslab-rate-foot", card);
  /** @type {RangeTest} */
  let test;
  /** @type {number | null} */
  let picked = null; // index of the point that pointer or keys have picked

  /** @type {(rate: number) => void} */
  const take = (rate) => send({ do: "take", name: test.name, rate });
  /** @type {(point: [rate: number, loss: number, mean: number]) => string[]} */
  const words = ([rate, loss, mean]) => [`${test.name} ${digits(rate, 2)}`, `${withUnit(loss, test.unit)}, smoothed ${withUnit(mean, test.unit)}`];
  /** @type {(place: number) => void} */
  const pick = (place) => {
    picked = Math.min(Math.max(place, 0), test.points.length - 1);
    redraw();
  };
  /** @type {(event: MouseEvent) => number} */
  const across = (event) => {
    const box = picture.getBoundingClientRect();
    return ((event.clientX - box.left) * SIZE.width) / box.width;
  };
  picture.addEventListener("pointermove", (event) => {
    pick(nearestRate(test, across(event)));
    const [strong, more] = words(test.points[picked ?? 0]);
    tooltip.show(event, [{ text: strong, strong: true }, { text: more }, { text: "click to take it" }]);
  });
  picture.addEventListener("pointerleave", () => {
    picked = null;
    tooltip.hide();
    redraw();
  });
  picture.addEventListener("click", (event) => take(test.points[nearestRate(test, across(event))][0]));
  picture.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) pick((picked ?? test.points.findIndex(([rate]) => rate >= (test.suggestion ?? test.now)) - step) + step);
    else if (event.key === "Enter" && picked !== null) take(test.points[picked][0]);
    else return;
    event.preventDefault();
  });

  function redraw() {
    picture.replaceChildren();
    const { points, low, high, now, suggestion, steepest } = test;
    const { first, last, x, y } = placesOf(test);
    const { width, height, left, right, top, bottom } = SIZE;
    const floor = height - bottom;
    /** @type {(tag: keyof SVGElementTagNameMap, attributes: Record<string, string | number>, text?: string) => void} */
    const put = (tag, attributes, text) => {
      const made = shape(tag, attributes, picture);
      if (text !== undefined) made.textContent = text;
    };
    put("rect", { x: left, y: top, width: width - left - right, height: floor - top, class: "naslab-rate-ground" });
    put("text", { x: left - 5, y: top + 8, "text-anchor": "end" }, endText(high, low, high));
    put("text", { x: left - 5, y: floor, "text-anchor": "end" }, endText(low, low, high));
    for (const power of powersOfTen(first, last)) {
      put("line", { x1: x(power), x2: x(power), y1: floor, y2: floor + 4, class: "naslab-rate-tick" });
      put("text", { x: x(power), y: floor + 16, "text-anchor": "middle" }, digits(power, 1));
    }
    if (now > 0) put("line", { x1: x(now), x2: x(now), y1: top, y2: floor, class: "naslab-rate-now" });
    for (const [rate, loss] of points) if (loss <= high) put("circle", { cx: x(rate), cy: y(loss), r: 1.8, class: "naslab-rate-loss" });
    put("polyline", { points: points.map(([rate, , mean]) => `${x(rate).toFixed(1)},${y(mean).toFixed(1)}`).join(" "), class: "naslab-rate-mean" });
    /** @type {(rate: number) => number} */
    const meanAt = (rate) => points.reduce((best, one) => (Math.abs(Math.log(one[0] / rate)) < Math.abs(Math.log(best[0] / rate)) ? one : best))[2];
    if (suggestion !== null && steepest !== null) {
      put("path", { d: `M${x(steepest)} ${y(meanAt(steepest)) - 6}l6 6l-6 6l-6 -6z`, class: "naslab-rate-steepest" });
      put("circle", { cx: Math.max(left, x(suggestion)), cy: y(meanAt(suggestion)), r: 6, class: "naslab-rate-suggestion" });
    }
    if (picked !== null && points[picked]) {
      const [rate, , mean] = points[picked];
      put("line", { x1: x(rate), x2: x(rate), y1: top, y2: floor, class: "naslab-rate-picked" });
      put("circle", { cx: x(rate), cy: y(mean), r: 4, class: "naslab-rate-picked" });
      picture.setAttribute("aria-valuetext", words(points[picked]).join(": "));
    }
  }

  return {
    draw(next) {
      test = next;
      title.textContent = `${test.metric}${test.unit ? ` (${test.unit})` : ""} while ${test.name} grows` + (test.ended ? "" : `, ${test.points.length} of ${test.steps}`);
      picture.setAttribute("aria-label", `${title.textContent}; left and right pick a rate, Enter takes it`);
      picture.setAttribute("aria-valuetext", `in force ${digits(test.now, 3)}`);
      picture.dataset.ended = String(test.ended);
      foot.replaceChildren();
      if (test.ended && test.suggestion === null) make("span", "naslab-rate-none", foot, "The loss did not fall: there is nothing to suggest.");
      if (test.ended && test.suggestion !== null)
        for (const [sign, rate, why] of /** @type {[string, number, string][]} */ ([["○", test.suggestion, "a tenth of where it is least"], ["◇", test.steepest, "where it falls most steeply"]])) {
          const button = make("button", "naslab-button", foot, `${sign} ${digits(rate, 2)}`);
          button.type = "button";
          button.title = `Take ${test.name} ${digits(rate, 2)}: ${why}`;
          make("span", "naslab-rate-why", button, why);
          button.addEventListener("click", () => take(rate));
        }
      make("span", "naslab-rate-force", foot, `┊ ${digits(test.now, 3)} in force`);
      redraw();
    },
    remove() {
      card.remove();
    },
  };
}

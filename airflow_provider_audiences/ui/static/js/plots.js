/**
 * Plots over time, by uPlot. Each is a figure with a summary in words, values at the cursor, which arrow keys move, and
 * its figures as a table.
 */

import { announce, el, fill } from "./dom.js";
import { compact, moment, number } from "./format.js";

const shown = new Set();
const MONTH = new Intl.DateTimeFormat("en", { month: "short", year: "numeric" });
const DAY = new Intl.DateTimeFormat("en", { day: "numeric", month: "short" });
const MINUTE = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const DAY_SECONDS = 86400;
const DAY_STEPS = [1, 2, 3, 4, 5, 7, 10, 15, 30, 60, 90, 120, 180, 365].map((days) => days * DAY_SECONDS); // no hours
const FEW = 12; // values that are drawn as points too: a single one has no line

/** Draw all plots again, in the colours of another theme. */
export const redrawPlots = () => shown.forEach((plot) => plot.draw());

/** End all plots. */
export function endPlots() {
  shown.forEach((plot) => plot.end());
  shown.clear();
}

/**
 * Return the figure of a plot.
 *
 * @param {object} options
 * @param {string} options.title its heading.
 * @param {string} options.summary what it shows, in a sentence or two.
 * @param {number[]} options.times epoch seconds, in order.
 * @param {object[]} options.series each {label, values, look, tone, format}: look is line, bars, step (dashed) or limit
 *   (dashed, with the forbidden side tinted: side -1 below, 1 above); format writes a value.
 * @param {(time: number) => string} options.timeText writes a time of the table and of the cursor.
 * @param {object[]} options.marks vertical lines, each {time, tone}.
 * @param {string} options.group plots of one group share their cursor.
 * @param {number} options.height height in pixels.
 * @param {[number, number]} options.range first and last time shown; by default those of the values.
 */
export function plotFigure(options) {
  const plot = new Plot({ timeText: moment, marks: [], height: 220, ...options });
  shown.add(plot);
  return plot.figure;
}

class Plot {
  constructor(options) {
    this.options = options;
    const { title, summary, height } = options;
    const label = `${title}. ${summary} The arrow keys move along the plot.`;
    this.box = el("div.plot", { tabindex: 0, role: "group", "aria-roledescription": "plot", "aria-label": label });
    this.box.style.minHeight = `${height}px`;
    this.box.addEventListener("keydown", (event) => this.move(event));
    const table = el("details.figures", {}, el("summary", {}, "Show the figures as a table"));
    table.addEventListener("toggle", () => table.open && table.children.length === 1 && table.append(this.table()));
    const caption = el("figcaption", {}, el("h2", {}, title), el("p", {}, summary));
    this.figure = el("figure.card", {}, caption, this.box, table);
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.box);
  }

  end() {
    this.observer.disconnect();
    this.chart?.destroy();
  }

  /** The newest time with a value: bounds of the next run lie after it. */
  get newest() {
    return this.options.series[0].values.findLastIndex((value) => value !== null);
  }

  get width() {
    return Math.floor(this.box.clientWidth);
  }

  resize() {
    if (!this.chart) this.draw();
    else if (this.width && this.chart.width !== this.width) this.chart.setSize(this.size());
  }

  size() {
    return { width: this.width, height: this.options.height };
  }

  draw() {
    if (!this.width) return;
    const { times, series } = this.options;
    this.chart?.destroy();
    fill(this.box);
    const data = [times, ...series.map(({ values }) => values)];
    this.index = this.newest;
    this.chart = new window.uPlot(this.chartOptions(), data, this.box);
    // Where nobody points, the newest values are shown.
    this.chart.over.addEventListener("mouseleave", () => this.showNewest());
  }

  chartOptions() {
    const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
    const { times, series, marks, group, range, timeText } = this.options;
    const line = { stroke: colour("plot-text"), grid: { stroke: colour("plot-grid"), width: 1 }, ticks: { show: false } };
    return {
      ...this.size(),
      padding: [12, 24, 0, 0], // half of the last time's label
      legend: { live: true },
      cursor: {
        drag: { x: false, y: false },
        y: false,
        ...(group ? { sync: { key: group, setSeries: false } } : {}),
      },
      scales: { x: { time: true, range: () => range ?? widened(times) }, y: { range: (_, low, high) => rangeOf(series, low, high) } },
      axes: [
        { ...line, grid: { show: false }, values: timeLabels, space: 70, size: 40, ...(hasBars(series) ? { incrs: DAY_STEPS } : {}) },
        { ...line, values: (_, values) => values.map(compact), size: 52, space: 36 },
      ],
      series: [
        { label: "Time", value: (_, time) => (time === null || time === undefined ? "–" : timeText(time)) },
        ...series.map((one) => looks(one, colour)),
      ],
      hooks: { draw: [(chart) => drawMarks(chart, marks, colour)], ready: [() => this.showNewest()] },
    };
  }

  showNewest() {
    queueMicrotask(() => this.chart.setLegend({ idx: this.newest }));
  }

  move(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
    if (!(event.key in steps) || !this.chart) return;
    event.preventDefault();
    const { times, series, timeText } = this.options;
    const index = (this.chart.cursor.idx ?? this.index) + steps[event.key];
    this.index = Math.max(0, Math.min(times.length - 1, index));
    this.chart.setCursor({ left: this.chart.valToPos(times[this.index], "x"), top: 10 });
    const values = series
      .filter(({ values }) => values[this.index] !== null && values[this.index] !== undefined)
      .map(({ label, values, format = number }) => `${label} ${format(values[this.index])}`);
    announce(`${timeText(times[this.index])}: ${values.join(", ")}`);
  }

  table() {
    const { title, times, series, timeText } = this.options;
    const head = el("tr", {}, ["Time", ...series.map(({ label }) => label)].map((text) => el("th", { scope: "col" }, text)));
    const rows = times.map((time, index) =>
      el(
        "tr",
        {},
        el("th", { scope: "row" }, timeText(time)),
        series.map(({ values, format = number }) => el("td.number", {}, format(values[index]))),
      ),
    );
    const table = el("table", {}, el("caption.unseen", {}, title), el("thead", {}, head), el("tbody", {}, rows.reverse()));
    return el("div.table-frame.low", { tabindex: 0, role: "region", "aria-label": `Figures of ${title}` }, table);
  }
}

/** Return uPlot's options of a series. */
function looks({ label, values, look, tone, side, format = number }, colour) {
  const stroke = colour(`plot-${tone}`);
  const options = { label, stroke, width: 2, value: (_, value) => format(value), points: { show: false }, spanGaps: true };
  if (look === "line") return { ...options, points: { show: values.filter(Number.isFinite).length <= FEW, size: 6, fill: stroke } };
  if (look === "step") return { ...options, width: 1, dash: [5, 4] };
  if (look === "limit") {
    const fillTo = (chart) => chart.scales.y[side < 0 ? "min" : "max"];
    return { ...options, width: 1.5, dash: [5, 4], fill: colour("plot-forbidden"), fillTo };
  }
  const paths = window.uPlot.paths.bars({ size: [0.7, 28], radius: 0.15 });
  return { ...options, width: 0, fill: stroke, paths };
}

/** Return the first and last time shown: a single one stands in the middle of two days. */
function widened(times) {
  const [first, last] = [times[0], times[times.length - 1]];
  const edge = Math.max((last - first) * 0.02, first === last ? DAY_SECONDS : 0);
  return [first - edge, last + edge];
}

/** Return whether bars are drawn, each of which is a whole day. */
const hasBars = (series) => series.some(({ look }) => look === "bars");

/** Return the lowest and highest value shown. Bars begin at 0; a limit far above the values is left out of sight. */
function rangeOf(series, low, high) {
  if (low === null || high === null) return [0, 1];
  if (hasBars(series)) return [Math.min(low, 0) * 1.08, Math.max(high, 0) * 1.08 || 1];
  const main = series.filter(({ look }) => look === "line").flatMap(({ values }) => values.filter(Number.isFinite));
  const top = Math.max(...main); // -Infinity if there is none
  const highest = top > 0 ? Math.min(high, top * 1.5) : high;
  const edge = (highest - low || Math.abs(highest) || 1) * 0.08;
  return [low >= 0 ? Math.max(0, low - edge) : low - edge, highest + edge];
}

function timeLabels(_, splits, __, ___, step) {
  if (step >= 28 * DAY_SECONDS) return splits.map((time) => MONTH.format(time * 1000));
  if (step >= DAY_SECONDS) return splits.map((time) => DAY.format(time * 1000));
  let last = "";
  return splits.map((time) => {
    const day = DAY.format(time * 1000);
    const text = MINUTE.format(time * 1000);
    if (day === last) return text;
    last = day;
    return `${text}\n${day}`;
  });
}

function drawMarks(chart, marks, colour) {
  const { ctx, bbox } = chart;
  ctx.save();
  for (const { time, tone } of marks) {
    const x = Math.round(chart.valToPos(time, "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.setLineDash([]);
    ctx.strokeStyle = colour(`plot-${tone}`);
    ctx.lineWidth = 1.5 * window.devicePixelRatio;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}

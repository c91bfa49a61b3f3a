/** An audience's history, and the plots of it. Knows no API. */

import { changesOf, liveOf } from "./audience.js";
import { count, day, isNumber, number, percent, relative, seconds, signed } from "./format.js";
import { plotFigure } from "./plots.js";

/** Return the points of a history, the oldest first: from the state store, or else from events. */
export function pointsOf(stored, events) {
  if (Array.isArray(stored?.points) && Array.isArray(stored.fields)) {
    const points = stored.points.map((values) =>
      Object.fromEntries(stored.fields.map((name, index) => [name, values[index] ?? null])),
    );
    return points.filter(({ at }) => isNumber(at)).sort((one, other) => one.at - other.at);
  }
  const points = events.map(({ at, report, operation }) => ({
    at,
    live: liveOf(report, operation),
    ...changesOf(report, operation),
    drift: isNumber(report.drift) ? report.drift : null,
  }));
  return points.sort((one, other) => one.at - other.at);
}

/** Return the points that differ from the one before by their time, as plots want it. */
function distinct(points) {
  return points.filter(({ at }, index) => index === points.length - 1 || points[index + 1].at !== at);
}

/**
 * Return the plots that there are figures for.
 *
 * @param {object[]} points the history.
 * @param {object} limits the guards' limits; empty if they are not known.
 * @param {object} expiry {first, last, days} or null.
 * @param {number|null} next when the next run is due.
 * @param {object[]} marks stopped and failed runs, each {time, tone}.
 */
export function historyPlots({ points, limits, expiry, next, marks }) {
  const known = distinct(points);
  const sizes = known.filter(({ live }) => isNumber(live));
  return [
    sizes.length ? sizePlot(sizes, limits, next, marks) : null,
    known.some(({ added, removed }) => added || removed) ? changesPlot(known) : null,
    known.some(({ drift }) => isNumber(drift)) ? driftPlot(known) : null,
    expiry?.days?.length ? expiryPlot(expiry) : null,
  ].filter(Boolean);
}

function sizePlot(points, limits, next, marks) {
  const last = points[points.length - 1];
  const hasNext = isNumber(next) && next > last.at;
  const times = [...points.map(({ at }) => at), ...(hasNext ? [next] : [])];
  const live = [...points.map((point) => point.live), ...(hasNext ? [null] : [])];
  // What each run was allowed is measured by the size before it.
  const bound = (factor) => times.map((_, index) => (index ? Math.round(live[index - 1] * factor) : null));
  const { max_removed_ratio: removed, max_added_ratio: added, min_members: least } = limits;
  const series = [{ label: "Members", values: live, look: "line", tone: "size" }];
  if (isNumber(removed) && removed < 1 && times.length > 1) {
    series.push({ label: `Fewest allowed (${percent(removed)} less)`, values: bound(1 - removed), look: "limit", side: -1, tone: "limit" });
  }
  if (isNumber(added) && times.length > 1) {
    series.push({ label: `Most allowed (${percent(added)} more)`, values: bound(1 + added), look: "limit", side: 1, tone: "limit" });
  }
  if (isNumber(least) && least > 0) {
    series.push({ label: "min_members", values: times.map(() => least), look: "step", tone: "limit" });
  }
  const first = points[0];
  const change = last.live - first.live;
  const summary =
    points.length === 1
      ? `${count(last.live, "member")} on ${day(last.at)}.`
      : `${number(last.live)} members now, ${signed(change)} since ${day(first.at)}.` +
        (series.length > 1 ? " A guard stops a run that would leave the dashed bounds, by today's limits." : "") +
        (marks.length ? " Upright lines are runs that were stopped or failed." : "");
  return plotFigure({ title: "Size", summary, times, series, marks: marks.filter(({ time }) => time >= first.at), group: "history", height: 260 });
}

function changesPlot(points) {
  const days = new Map();
  for (const { at, added, removed } of points) {
    const start = new Date(at * 1000).setHours(0, 0, 0, 0) / 1000;
    const sums = days.get(start) ?? { added: 0, removed: 0 };
    days.set(start, { added: sums.added + (added ?? 0), removed: sums.removed + (removed ?? 0) });
  }
  const times = [...days.keys()];
  const of = (name, sign) => [...days.values()].map((sums) => (sums[name] ? sign * sums[name] : null));
  const total = (name) => [...days.values()].reduce((sum, sums) => sum + sums[name], 0);
  const format = (value) => (isNumber(value) ? number(Math.abs(value)) : "0");
  return plotFigure({
    title: "Added and removed, by day",
    summary: `${number(total("added"))} added and ${number(total("removed"))} removed since ${day(times[0])}.`,
    times,
    timeText: day,
    series: [
      { label: "Added", values: of("added", 1), look: "bars", tone: "added", format },
      { label: "Removed", values: of("removed", -1), look: "bars", tone: "removed", format },
    ],
    group: "history",
    height: 200,
    range: padded(times),
  });
}

/** Bars need room beside the first and the last. */
const padded = (times) => [times[0] - 43_200, times[times.length - 1] + 43_200];

function driftPlot(points) {
  const measured = points.filter(({ drift }) => isNumber(drift));
  const last = measured[measured.length - 1];
  return plotFigure({
    title: "Drift",
    summary: `The platform's count less the ledger's: ${signed(last.drift)} on ${day(last.at)}.`,
    times: measured.map(({ at }) => at),
    series: [{ label: "Drift", values: measured.map(({ drift }) => drift), look: "line", tone: "drift", format: signed }],
    group: "history",
    height: 160,
  });
}

function expiryPlot({ first, days }) {
  const counts = new Map(days.map(([name, members]) => [seconds(name), members]));
  const times = [...counts.keys()].sort((one, other) => one - other);
  const total = [...counts.values()].reduce((sum, value) => sum + value, 0);
  const [waveDay, waveSize] = [...counts].reduce((most, one) => (one[1] > most[1] ? one : most));
  return plotFigure({
    title: "Coming expiry, by day",
    summary:
      `Unless they are sent again, the first members leave ${relative(first)}. ` +
      `Of ${count(total, "member")}, the largest wave is ${number(waveSize)} on ${day(waveDay)}.`,
    times,
    timeText: day,
    series: [{ label: "Members who expire", values: times.map((time) => counts.get(time)), look: "bars", tone: "expiry" }],
    height: 180,
    range: padded(times),
  });
}

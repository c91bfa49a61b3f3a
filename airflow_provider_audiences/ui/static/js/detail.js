/** The page of one audience. */

import { outerLink, pageOf } from "./airflow.js";
import { ApiError } from "./api.js";
import { driftNow, lastSuccess, liveNow, newest, nextRun, verdict } from "./audience.js";
import { el, fill } from "./dom.js";
import { day, isNumber, NOTHING, number, percent, signed } from "./format.js";
import { historyPlots, pointsOf } from "./history.js";
import { addProgress, loadOne } from "./load.js";
import { badge, emptyState, noteList, progressBar, when } from "./parts.js";
import { endPlots } from "./plots.js";
import { reportOf, runsTable } from "./runs.js";
import { KINDS, PLATFORMS } from "./targets.js";

const PROGRESS_MS = 4_000;
const RELOAD_TICKS = 8;

/**
 * Show one audience.
 *
 * @param {Element} page where to.
 * @param {{hasStates: boolean, text: string}} version Airflow's.
 * @param {() => boolean} isMine tells whether the page is still this view's.
 * @param {number} id id of the audience's asset.
 * @return {Promise<() => void>} a function that ends what goes on in the background.
 */
export async function showDetail(page, version, isMine, id) {
  let loaded = await loadOne(id, version);
  if (!isMine()) return () => {};
  render(page, version, loaded);
  document.getElementById("title").focus({ preventScroll: true });
  window.scrollTo(0, 0);
  let ticks = 0;
  const timer = setInterval(async () => {
    if (document.hidden) return;
    ticks += 1;
    try {
      if (ticks % RELOAD_TICKS === 0) {
        const newer = await loadOne(id, version);
        const isNews = signature(newer) !== signature(loaded);
        loaded = newer;
        if (isNews && isMine()) render(page, version, loaded);
      } else if (version.hasStates && loaded.audience.active?.isWorking) {
        await addProgress([loaded.audience]);
        if (isMine()) updateProgress(loaded.audience);
      }
    } catch (error) {
      if (!(error instanceof ApiError)) throw error; // what is shown stays, and the next tick tries again
    }
  }, PROGRESS_MS);
  return () => {
    clearInterval(timer);
    endPlots();
  };
}

/** Return what must differ for the page to be worth drawing anew. */
function signature({ audience, events, failures }) {
  const { outcome, active } = audience;
  return JSON.stringify([events[0]?.id, failures[0]?.run, failures[0]?.state, outcome?.at, active?.run, active?.state]);
}

function render(page, version, { audience, events, failures, states, notes }) {
  endPlots();
  const said = verdict(audience);
  const points = pointsOf(states.history, events);
  const stopped = failures.map(({ at }) => ({ time: at, tone: "bad" }));
  if (audience.outcome && audience.outcome.state !== "ok") stopped.push({ time: audience.outcome.at, tone: "bad" });
  const plots = historyPlots({
    points,
    limits: states.limits ?? {},
    expiry: audience.expiry,
    next: nextRun(audience).at,
    marks: stopped.filter(({ time }) => isNumber(time)),
  });
  fill(
    page,
    el("a.back", { href: "#/" }, "← All audiences"),
    headOf(audience, said),
    noteList([...notes, ...missing(version)]),
    calloutOf(audience, said),
    tilesOf(audience, points, states.limits ?? {}),
    plots.length ? el("div.plots", {}, plots) : nothingToPlot(audience),
    runsTable({ audience, events, failures }),
    reportOf(newest(audience)),
  );
}

function missing(version) {
  if (version.hasStates) return [];
  return [
    `Airflow ${version.text} keeps no state of assets. The history is made of asset events; why a run was stopped or ` +
      "failed is in its log; limits, progress and coming expiry can't be shown. Airflow 3.3 can.",
  ];
}

function headOf(audience, said) {
  const { platform, kind, account, remoteId, name, event, outcome } = audience;
  const ended = outcome && (!event || outcome.at > event.at) ? fromOutcome(outcome) : event;
  const last = audience.active ?? ended;
  const which = audience.active ? "This" : "Last";
  const links = [
    last?.dag ? outerLink(pageOf.dag(last.dag), "DAG") : null,
    last?.run ? outerLink(pageOf.run(last.dag, last.run), `${which} run`) : null,
    last?.run ? outerLink(pageOf.task(last.dag, last.run, last.task, last.mapIndex), `${which} log`) : null,
    outerLink(pageOf.asset(audience.id), "Asset"),
  ];
  return el(
    "header.head",
    {},
    el(
      "div",
      {},
      el("h1", { id: "title", tabindex: -1 }, name, " ", badge(said)),
      el("p.sub", {}, [PLATFORMS[platform], KINDS[platform]?.[kind], account].filter(Boolean).join(" · ")),
      remoteId && remoteId !== name ? el("p.sub.id", {}, remoteId) : null,
    ),
    el("nav.links", { "aria-label": "In Airflow" }, links),
  );
}

const fromOutcome = ({ dag_id: dag, task_id: task, run_id: run, map_index: mapIndex }) => ({ dag, task, run, mapIndex });

function calloutOf(audience, said) {
  if (audience.active?.isWorking) {
    const bar = progressBar(audience.progress, "Progress of the run");
    return el("section.callout.info", { id: "progress", "aria-label": "The run that works now" }, el("p", {}, said.text), bar);
  }
  if (!["bad", "warn"].includes(said.tone)) return null;
  const advice = said.guard
    ? "Nothing was sent. If the change is meant, trigger one run with a wider limit; if not, the source needs a look."
    : null;
  return el(
    `section.callout.${said.tone}`,
    { "aria-label": "What needs you" },
    el("p", {}, el("strong", {}, said.label), said.guard ? [": ", el("code", {}, said.guard)] : null),
    el("p.message", {}, said.text),
    advice ? el("p", {}, advice) : null,
  );
}

function updateProgress(audience) {
  const section = document.getElementById("progress");
  if (!section) return;
  const bar = progressBar(audience.progress, "Progress of the run");
  fill(section, el("p", {}, verdict(audience).text), bar);
}

function tilesOf(audience, points, limits) {
  const live = liveNow(audience) ?? lastKnown(points);
  const sizes = points.filter((point) => isNumber(point.live));
  const before = sizes.length > 1 ? sizes[sizes.length - 2].live : null;
  const drift = driftNow(audience);
  const next = nextRun(audience);
  const first = audience.expiry?.first;
  const guards = Object.entries(limits).filter(([, value]) => isNumber(value) && value !== 0);
  return el(
    "dl.tiles",
    {},
    tile("Members", number(live), before !== null && live !== null ? `${live === before ? "unchanged" : signed(live - before)} by the last run` : null),
    tile("Last sync", when(lastSuccess(audience)) ?? "never", day(lastSuccess(audience))),
    tile("Next run", next.at === null ? next.why || NOTHING : when(next.at), audience.dag?.timetable_description),
    tile("Drift", signed(drift), drift !== null && live ? `${percent(Math.abs(drift) / live)} of the members` : null),
    tile("Expiry begins", isNumber(first) ? when(first) : NOTHING, isNumber(first) ? day(first) : null),
    guards.length ? tile("Guards", guards.map(([name, value]) => limitText(name, value)).join(", "), null, "words") : null,
  );
}

const lastKnown = (points) => points.findLast(({ live }) => isNumber(live))?.live ?? null;

function limitText(name, value) {
  const words = {
    max_removed_ratio: `at most ${percent(value)} removed`,
    max_added_ratio: `at most ${percent(value)} added`,
    min_members: `at least ${number(value)} members`,
  };
  return words[name] ?? `${name} ${value}`;
}

const tile = (name, value, note, look = "") =>
  el(`div.tile${look ? `.${look}` : ""}`, {}, el("dt", {}, name), el("dd.value", {}, value), note ? el("dd.note", {}, note) : null);

function nothingToPlot(audience) {
  const isWritten = newest(audience) !== null;
  return el(
    "div.card",
    {},
    emptyState(isWritten ? "Nothing to plot yet" : "No sync yet", [
      isWritten ? "No run has told how many members there are." : "The history begins with the first run that succeeds.",
    ]),
  );
}

/** The runs of an audience, with links to them, and the report of the last one. */

import { outerLink, pageOf } from "./airflow.js";
import { changesOf, done, liveOf } from "./audience.js";
import { el } from "./dom.js";
import { duration, isNumber, moment, NOTHING, number } from "./format.js";
import { badge, when } from "./parts.js";

const SHOWN = 25;
const COLUMNS = ["When", "Outcome", "What was done", "Added", "Removed", "Members", "Took", "In Airflow"];
const FAILED = {
  failed: { tone: "bad", label: "Failed" },
  up_for_retry: { tone: "warn", label: "Will be tried again" },
  upstream_failed: { tone: "warn", label: "Task before it failed" },
};

/** Return the table of the newest runs, those that wrote, were stopped or failed. */
export function runsTable({ audience, events, failures }) {
  const rows = [
    ...events.map(fromEvent),
    ...failures.map((failure) => fromFailure(failure, audience.outcome)),
    ...lonely(audience.outcome, failures),
  ].sort((one, other) => (other.at ?? Infinity) - (one.at ?? Infinity));
  if (!rows.length) return null;
  const body = el("tbody", {}, rows.slice(0, SHOWN).map(rowOf));
  const head = el("thead", {}, el("tr", {}, COLUMNS.map((name) => el("th", { scope: "col" }, name))));
  const table = el("table.runs", {}, el("caption.unseen", {}, "Runs, the newest first"), head, body);
  const section = el("section.card", {}, el("h2", {}, "Runs"), el("div.table-frame", {}, table));
  if (rows.length > SHOWN) {
    const more = el("button.button", { type: "button" }, `Show all ${number(rows.length)}`);
    more.addEventListener("click", () => {
      body.append(...rows.slice(SHOWN).map(rowOf));
      more.remove();
    });
    section.append(more);
  }
  return section;
}

function fromEvent({ at, operation, report, dag, task, run, mapIndex }) {
  const { added, removed } = changesOf(report, operation);
  return {
    at,
    badge: { tone: "good", label: "Done" },
    text: `${operation ?? "write"}: ${done(report, operation)}`,
    added,
    removed,
    live: liveOf(report, operation),
    took: report.seconds,
    where: { dag, task, run, mapIndex },
  };
}

function fromFailure(failure, outcome) {
  const isTold = outcome && outcome.state !== "ok" && outcome.run_id === failure.run && outcome.task_id === failure.task;
  const isStopped = isTold && outcome.state === "stopped";
  return {
    at: failure.at,
    badge: isStopped ? { tone: "bad", label: "Stopped by a guard" } : FAILED[failure.state],
    text: isTold ? outcome.message : `Try ${failure.tryNumber}`,
    where: failure,
  };
}

/** Return the row of an outcome that no task instance tells of, as when the run is gone. */
function lonely(outcome, failures) {
  if (!outcome || outcome.state === "ok") return [];
  if (failures.some(({ run, task }) => run === outcome.run_id && task === outcome.task_id)) return [];
  const { dag_id: dag, task_id: task, run_id: run, map_index: mapIndex } = outcome;
  const label = outcome.state === "stopped" ? "Stopped by a guard" : "Failed";
  return [{ at: outcome.at, badge: { tone: "bad", label }, text: outcome.message, where: { dag, task, run, mapIndex } }];
}

function rowOf({ at, badge: said, text, added, removed, live, took, where }) {
  return el(
    "tr",
    {},
    el("th", { scope: "row" }, moment(at), el("span.sub", {}, when(at))),
    el("td.said", {}, badge(said)),
    el("td.text", { "data-label": "What was done" }, text),
    el("td.number", { "data-label": "Added" }, number(added)),
    el("td.number", { "data-label": "Removed" }, number(removed)),
    el("td.number", { "data-label": "Members" }, number(live)),
    el("td.number", { "data-label": "Took" }, duration(took)),
    el("td.links", { "data-label": "In Airflow" }, linksOf(where, at)),
  );
}

function linksOf({ dag, task, run, mapIndex }, at) {
  if (!dag || !run) return "Not by a run";
  const of = ` of ${moment(at)}`;
  return [
    outerLink(pageOf.run(dag, run), "Run", { "aria-label": `Run${of}` }),
    " ",
    outerLink(pageOf.task(dag, run, task, mapIndex), "Log", { "aria-label": `Log${of}` }),
  ];
}

/** Return the last report, as it is documented: the guards' verdicts, and all figures. */
export function reportOf(last) {
  if (!last?.report) return null;
  const { verdicts, ...figures } = last.report;
  const guards = Array.isArray(verdicts) ? verdicts.filter((one) => one && typeof one === "object") : [];
  return el(
    "details.card.report",
    {},
    el("summary", {}, `The report of ${moment(last.at)}`),
    guards.length ? el("ul.verdicts", {}, guards.map(verdictOf)) : null,
    el(
      "dl.figures",
      {},
      Object.entries(figures).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, valueText(value)))),
    ),
  );
}

function verdictOf({ guard, passed, message }) {
  const said = passed ? { tone: "good", label: "Passed" } : { tone: "bad", label: "Stopped" };
  return el("li", {}, badge(said), " ", el("code", {}, guard), " ", message);
}

function valueText(value) {
  if (isNumber(value)) return number(value);
  if (value === null || value === "" || value === undefined) return NOTHING;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

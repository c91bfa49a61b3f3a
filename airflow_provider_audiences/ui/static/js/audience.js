/**
 * What an audience is to this page, and what is to be said of it. Knows no API and no document.
 *
 * An audience: {id, uri, platform, kind, account, name, remoteId, producers: [{dag, task}], lastEventAt, event, outcome,
 * failure, active, progress, dag, expiry}. Whatever is not known is null.
 */

import { count, isNumber, moment, number, percent, relative, seconds } from "./format.js";
import { FOLDERS, isOurs } from "./targets.js";

const LARGE_DRIFT = 0.05; // the operators' own default for max_drift
const LATE_SECONDS = 15 * 60; // the scheduler may take a moment

/** The groups of the list, in the order of who needs a person. */
export const NEEDS_YOU = 0;
export const RUNNING = 1;
export const UNKNOWN = 2;
export const IN_ORDER = 3;

const plain = (text) => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

/** Return an audience from an asset of the API. */
export function fromAsset(asset) {
  const [, platform, rest] = /^(\w+):\/\/(.*)$/.exec(asset.uri ?? "") ?? [];
  const [account, folder, ...target] = (rest ?? "").split("/");
  const isNamed = isOurs(asset.uri) && target.length > 0;
  return {
    id: asset.id,
    uri: asset.uri || asset.name,
    platform: isNamed ? platform : null,
    kind: isNamed ? (FOLDERS[platform]?.[folder] ?? null) : null,
    account: isNamed ? plain(account) : null,
    name: isNamed ? plain(target.join("/")) : asset.name,
    remoteId: null,
    producers: (asset.producing_tasks ?? []).map(({ dag_id: dag, task_id: task }) => ({ dag, task })),
    lastEventId: asset.last_asset_event?.id ?? null,
    lastEventAt: seconds(asset.last_asset_event?.timestamp),
    event: null,
    outcome: null,
    failure: null,
    active: null,
    progress: null,
    dag: null,
    expiry: null,
  };
}

/** Return an event of the API as {at, operation, report, dag, task, run, mapIndex, ...}, or null if it is not ours. */
export function fromEvent(event) {
  const extra = event.extra;
  if (!extra || !extra.audiences || typeof extra !== "object") return null;
  return {
    id: event.id,
    at: isNumber(extra.at) ? extra.at : seconds(event.timestamp),
    operation: text(extra.operation),
    platform: text(extra.platform),
    kind: text(extra.kind),
    name: text(extra.name),
    report: extra.report && typeof extra.report === "object" ? extra.report : {},
    dag: event.source_dag_id,
    task: event.source_task_id,
    run: event.source_run_id,
    mapIndex: event.source_map_index ?? -1,
  };
}

const text = (value) => (typeof value === "string" && value ? value : null);

/** Take what an event tells into an audience. */
export function learn(audience, event) {
  audience.event = event;
  audience.platform = event.platform ?? audience.platform;
  audience.kind = event.kind ?? audience.kind;
  audience.name = event.name ?? audience.name;
  audience.remoteId = text(event.report.audience_id) ?? text(event.report.group_id) ?? text(event.report.package_name);
}

/** Return the members that a report says are there, or null. */
export function liveOf(report, operation) {
  const live = report?.live ?? report?.amount ?? (operation === "update" ? report?.sent : undefined);
  return isNumber(live) ? live : null;
}

/** Return the changes of a report: {added, removed, refreshed, refused}, each null if it is not known. */
export function changesOf(report, operation) {
  const known = (value) => (isNumber(value) ? value : null);
  const refused = ["malformed", "zeroed", "rejected_by_api"].map((name) => report?.[name]).filter(isNumber);
  return {
    added: known(report?.added ?? (operation === "append" ? report?.sent : null)),
    removed: known(report?.removed ?? (operation === "remove" ? report?.sent : null)),
    refreshed: known(report?.refreshed),
    refused: refused.length ? refused.reduce((sum, value) => sum + value, 0) : null,
  };
}

/** Return the newest report: that of the last outcome, if it is newer than the last event. */
export function newest(audience) {
  const { event, outcome } = audience;
  if (outcome?.report && (!event || outcome.at > event.at)) return outcome;
  return event ?? outcome;
}

/** Return the members that are there now, or null. */
export function liveNow(audience) {
  const last = newest(audience);
  return liveOf(last?.report, last?.operation) ?? liveOf(audience.event?.report, audience.event?.operation);
}

/** Return the drift of the last report, or null. */
export function driftNow(audience) {
  const drift = newest(audience)?.report?.drift;
  return isNumber(drift) ? drift : null;
}

/** Return when the audience was last written to with success, in epoch seconds, or null. */
export function lastSuccess(audience) {
  if (audience.outcome?.state === "ok") return Math.max(audience.outcome.at, audience.event?.at ?? 0);
  return audience.event?.at ?? audience.lastEventAt;
}

/** Return when the next run is due: {at, why}; at is null if nobody knows, and why says so. */
export function nextRun(audience) {
  const { dag, outcome } = audience;
  if (dag?.is_paused) return { at: null, why: "DAG is paused" };
  const at = seconds(dag?.next_dagrun_run_after);
  if (at !== null) return { at, why: "" };
  if (dag) return { at: null, why: dag.timetable_description || dag.timetable_summary || "no schedule" };
  return { at: outcome?.next_run ?? null, why: "" };
}

/** Return the words of an operation: what was done. */
export function done(report, operation) {
  const { added, removed, refreshed } = changesOf(report, operation);
  const parts = [
    added ? `${number(added)} added` : null,
    removed ? `${number(removed)} removed` : null,
    refreshed ? `${number(refreshed)} refreshed` : null,
  ].filter(Boolean);
  if (parts.length) return parts.join(", ");
  if (report?.dry_run) return "Dry run: nothing was sent";
  if (report?.plan_only) return "A plan was made, nothing was sent";
  if (operation === "update") return `Content replaced by ${count(report?.sent, "member")}`;
  if (operation === "create") return "Created";
  if (operation === "delete") return "Deleted";
  if (operation === "replace" || report?.group_id) return report?.unchanged ? "Nothing to change" : "A new group was made";
  return "Nothing to send";
}

/**
 * Return what is to be said of an audience: {group, tone, label, text, guard}.
 *
 * @param {object} audience the audience.
 * @param {number} now epoch seconds.
 */
export function verdict(audience, now = Date.now() / 1000) {
  const trouble = troubleOf(audience);
  if (audience.active?.isWorking) {
    return { group: RUNNING, tone: "info", label: "Running", text: runningText(audience), guard: null };
  }
  if (trouble) return { group: NEEDS_YOU, ...trouble };
  const concern = concernOf(audience, now);
  if (concern) return { group: NEEDS_YOU, tone: "warn", guard: null, ...concern };
  if (audience.active) {
    return { group: RUNNING, tone: "info", label: "Waiting", text: "A run is queued or waits", guard: null };
  }
  const last = newest(audience);
  if (!last) return { group: UNKNOWN, tone: "mute", label: "No sync yet", text: "Nothing was written yet", guard: null };
  return { group: IN_ORDER, tone: "good", label: "In order", text: done(last.report, last.operation), guard: null };
}

/** Return the trouble that the last run had: {tone, label, text, guard}, or null. */
function troubleOf(audience) {
  const { outcome, failure, event } = audience;
  const since = event?.at ?? audience.lastEventAt ?? 0;
  const isNews = outcome && outcome.state !== "ok" && outcome.at >= since;
  if (isNews && outcome.state === "stopped") {
    return { tone: "bad", label: "Stopped by a guard", text: stopText(outcome), guard: outcome.guard };
  }
  if (failure?.state === "up_for_retry") {
    const text = isNews ? outcome.message : "The last try failed";
    return { tone: "warn", label: "Will be tried again", text, guard: null };
  }
  if (isNews) return { tone: "bad", label: "Failed", text: outcome.message || "The last run failed", guard: null };
  if (failure) {
    const text = `The run of ${moment(failure.at)} failed; its log says why`;
    return { tone: "bad", label: "Failed", text, guard: null };
  }
  return null;
}

/** Return an outcome's message without what the label says already. */
function stopText({ message, guard }) {
  const start = `stopped by ${guard}: `;
  const said = (message?.startsWith(start) ? message.slice(start.length) : message)
    ?.replaceAll(` (${guard})`, "")
    .replace(/; nothing was sent\W*$/, "");
  return said ? said[0].toUpperCase() + said.slice(1) : "The plan goes past a limit";
}

function runningText({ progress, active }) {
  if (progress && progress.total > 0) {
    return `${number(progress.sent)} of ${number(progress.total)} members sent`;
  }
  if (active.state === "deferred") return "Waits for the platform";
  return active.isUntold ? "A run works now" : "Reads its source, or has just begun";
}

/** Return what is not right although the last run was: {label, text}, or null. */
function concernOf(audience, now) {
  const next = nextRun(audience);
  const live = liveNow(audience);
  const drift = driftNow(audience);
  if (audience.dag?.is_paused) return { label: "Paused", text: "The DAG is paused: no run will come" };
  if (!audience.active && next.at !== null && next.at < now - LATE_SECONDS) {
    return { label: "Late", text: `The run of ${moment(next.at)} has not begun (due ${relative(next.at, now)})` };
  }
  const first = audience.expiry?.first;
  if (isNumber(first) && first < now) {
    return { label: "Expiring", text: `Members have been expiring since ${moment(first)}` };
  }
  if (isNumber(first) && next.at !== null && first < next.at) {
    return { label: "Expiring", text: `Members begin to expire ${relative(first, now)}, before the next run` };
  }
  if (drift !== null && live && Math.abs(drift) > LARGE_DRIFT * live) {
    const side = drift > 0 ? "more" : "fewer";
    return {
      label: "Drift",
      text: `The platform counts ${number(Math.abs(drift))} members ${side} than were sent (${percent(Math.abs(drift) / live)})`,
    };
  }
  return null;
}

/** Compare two audiences, each with its verdict, for a list that begins with what needs a person. */
export function byNeed(one, other) {
  const tones = { bad: 0, warn: 1, info: 2, mute: 3, good: 4 };
  return (
    one.verdict.group - other.verdict.group ||
    tones[one.verdict.tone] - tones[other.verdict.tone] ||
    one.audience.name.localeCompare(other.audience.name) ||
    one.audience.id - other.audience.id
  );
}

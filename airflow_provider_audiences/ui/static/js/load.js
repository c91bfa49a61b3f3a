/** Asks the API for audiences: the list in a few requests, one audience in some more. */

import { ApiError, ask, each, pages } from "./api.js";
import { fromAsset, fromEvent, learn } from "./audience.js";
import { seconds } from "./format.js";
import { isOurs, SCHEMES } from "./targets.js";

const WORKING = ["running", "deferred"];
const WAITING = ["queued", "scheduled", "restarting", "up_for_reschedule"];
const FAILING = ["failed", "up_for_retry", "upstream_failed"];
const EVENT_PAGES = 20;
const MISSING_EVENTS = 300;
const REASONS = 60; // audiences whose reason of failure the list asks for
const FEW_DAGS = 12;
const TASK_PAGES = 5;

/** Return Airflow's version as a number that can be compared: 303 for 3.3. */
export async function airflowVersion() {
  const { version } = await ask("version");
  const [major, minor] = version.split(".").map(Number);
  return { text: version, hasStates: major * 100 + minor >= 303 };
}

/** Return the entries of a list, or none and a note if the API refuses or fails. */
async function orNote(notes, what, reading) {
  try {
    return await reading;
  } catch (error) {
    if (!(error instanceof ApiError) || error.status === 401) throw error;
    notes.push(error.status === 403 ? `Your role may not read ${what}.` : `${what} could not be read: ${error.message}`);
    return [];
  }
}

/**
 * Return all audiences, in the order of the API.
 *
 * @param {{hasStates: boolean}} version Airflow's.
 * @return {Promise<{audiences: object[], notes: string[]}>} notes tell what is left out, and why.
 * @throws {ApiError} not even the assets can be read.
 */
export async function loadAll(version) {
  const notes = [];
  const assets = (
    await Promise.all(SCHEMES.map((uri) => pages("assets", "assets", { uri_pattern: uri, order_by: "id" })))
  ).flat();
  const found = new Map(assets.filter(({ uri }) => isOurs(uri)).map((asset) => [asset.id, fromAsset(asset)]));
  await addEvents(found, notes);
  const audiences = [...found.values()];
  await Promise.all([addTasks(audiences, notes), addDags(audiences, notes)]);
  if (version.hasStates) await Promise.all([addReasons(audiences), addProgress(audiences)]);
  else markUntold(audiences);
  return { audiences, notes };
}

/** Add the newest event of each audience, and the audiences that only events tell of (an asset with another name). */
async function addEvents(found, notes) {
  const order = { order_by: "-timestamp" };
  const take = (events) => {
    for (const entry of events) {
      const event = fromEvent(entry);
      if (!event) continue;
      if (!found.has(entry.asset_id)) found.set(entry.asset_id, fromAsset({ ...entry, id: entry.asset_id }));
      const audience = found.get(entry.asset_id);
      if (!audience.event || audience.event.id < event.id) learn(audience, event);
    }
  };
  const missing = () => [...found.values()].filter(({ event, lastEventId }) => !event && lastEventId !== null);
  const read = (query, most) =>
    orNote(notes, "asset events", pages("assets/events", "asset_events", query, most, (events) => {
      take(events);
      return missing().length === 0;
    })).then(take);
  await Promise.all([
    ...SCHEMES.map((scheme) => read({ ...order, name_pattern: scheme }, EVENT_PAGES)),
    read(order, 1),
  ]);
  await each(missing().slice(0, MISSING_EVENTS), async ({ id }) => {
    const reply = await ask("assets/events", { ...order, asset_id: id, limit: 10 });
    take(reply.asset_events);
  });
}

const keyOf = (dag, task) => JSON.stringify([dag, task]);

/** Return who writes an audience: its producing tasks, and the task of its last event. */
function writers({ producers, event }) {
  const all = event?.dag ? [...producers, { dag: event.dag, task: event.task }] : producers;
  return [...new Map(all.map((one) => [keyOf(one.dag, one.task), one])).values()];
}

/** Return task instances of the given states, the newest first, as {state, at, dag, task, run, mapIndex, tryNumber}. */
async function taskInstances(tasks, states, most) {
  if (!tasks.length) return [];
  const body = {
    dag_ids: [...new Set(tasks.map(({ dag }) => dag))],
    task_ids: [...new Set(tasks.map(({ task }) => task))],
    state: states,
    order_by: "-start_date",
    page_limit: 100,
  };
  const found = [];
  for (let page = 0; page < most; page += 1) {
    const reply = await ask("dags/~/dagRuns/~/taskInstances/list", {}, { ...body, page_offset: page * 100 });
    found.push(...reply.task_instances);
    if (found.length >= reply.total_entries || reply.task_instances.length === 0) break;
  }
  return found.map((entry) => ({
    state: entry.state,
    isWorking: WORKING.includes(entry.state),
    at: seconds(entry.end_date) ?? seconds(entry.start_date),
    dag: entry.dag_id,
    task: entry.task_id,
    run: entry.dag_run_id,
    mapIndex: entry.map_index,
    tryNumber: entry.try_number,
  }));
}

/** Add the task instance that works for each audience, or has failed since its last event. */
async function addTasks(audiences, notes) {
  const tasks = audiences.flatMap(writers);
  const [active, failing] = await Promise.all([
    orNote(notes, "task instances", taskInstances(tasks, [...WORKING, ...WAITING], TASK_PAGES)),
    orNote([], "task instances", taskInstances(tasks, FAILING, TASK_PAGES)),
  ]);
  const byTask = (entries) => {
    const grouped = new Map();
    for (const entry of entries) {
      const key = keyOf(entry.dag, entry.task);
      grouped.set(key, [...(grouped.get(key) ?? []), entry]);
    }
    return grouped;
  };
  const [activeOf, failingOf] = [byTask(active), byTask(failing)];
  for (const audience of audiences) {
    const known = audience.event?.mapIndex ?? -1;
    // A mapped task has an instance for each audience; they are told apart by what the last event came from.
    const isMine = ({ mapIndex }) => mapIndex < 0 || known < 0 || mapIndex === known;
    const of = (grouped) => writers(audience).flatMap(({ dag, task }) => grouped.get(keyOf(dag, task)) ?? []);
    const mine = of(activeOf).filter(isMine);
    audience.active = mine.find(({ isWorking }) => isWorking) ?? mine[0] ?? null;
    const since = audience.event?.at ?? 0;
    const failures = of(failingOf).filter((entry) => isMine(entry) && (entry.at ?? Infinity) >= since);
    audience.failure = failures.sort((one, other) => (other.at ?? Infinity) - (one.at ?? Infinity))[0] ?? null;
  }
}

/** Add the DAG that writes each audience. */
async function addDags(audiences, notes) {
  const dagOf = (audience) => writers(audience)[0]?.dag;
  const wanted = [...new Set(audiences.map(dagOf).filter(Boolean))];
  if (!wanted.length) return;
  const dags =
    wanted.length <= FEW_DAGS
      ? await each(wanted, (dag) => ask(`dags/${encodeURIComponent(dag)}`))
      : await orNote(notes, "DAGs", pages("dags", "dags", { order_by: "dag_id" }));
  const byId = new Map(dags.filter(Boolean).map((dag) => [dag.dag_id, dag]));
  for (const audience of audiences) audience.dag = byId.get(dagOf(audience)) ?? null;
}

/** Add why the runs of audiences have failed, which no event says. */
async function addReasons(audiences) {
  const failed = audiences.filter(({ failure }) => failure).slice(0, REASONS);
  const outcomes = await each(failed, ({ id }) => state(id, "outcome"));
  failed.forEach((audience, index) => {
    audience.outcome = outcomes[index];
  });
}

/** Add how far the runs that work are. */
export async function addProgress(audiences) {
  const working = audiences.filter(({ active }) => active?.isWorking);
  const found = await each(working, ({ active }) => progress(active));
  working.forEach((audience, index) => {
    audience.progress = found[index];
  });
}

/** Mark the runs that work as ones that don't tell how far they are. */
function markUntold(audiences) {
  for (const { active } of audiences) if (active) active.isUntold = true;
}

async function progress({ dag, run, task, mapIndex }) {
  const [dagId, runId, taskId] = [dag, run, task].map(encodeURIComponent);
  const path = `dags/${dagId}/dagRuns/${runId}/taskInstances/${taskId}/state-store/progress`;
  const { value } = await ask(path, { map_index: mapIndex });
  return { sent: value.members_sent, total: value.members_total };
}

/** Return a value of an asset's state store. Throws an ApiError if there is none. */
export async function state(id, key) {
  const { value } = await ask(`assets/${id}/state-store/${key}`);
  return value;
}

/**
 * Return one audience with all that is known of it.
 *
 * @param {number} id id of its asset.
 * @param {{hasStates: boolean}} version Airflow's.
 * @return {Promise<{audience: object, events: object[], failures: object[], states: object, notes: string[]}>}
 * @throws {ApiError} the asset can't be read.
 */
export async function loadOne(id, version) {
  const notes = [];
  const audience = fromAsset(await ask(`assets/${id}`));
  const [entries, stored] = await Promise.all([
    orNote(notes, "asset events", pages("assets/events", "asset_events", { asset_id: id, order_by: "-timestamp" }, 4)),
    version.hasStates
      ? orNote(notes, "the audience's state", pages(`assets/${id}/state-store`, "asset_state_store"))
      : [],
  ]);
  const events = entries.map(fromEvent).filter(Boolean);
  if (events.length) learn(audience, events[0]);
  const states = Object.fromEntries(stored.map(({ key, value }) => [key, value]));
  audience.outcome = states.outcome ?? null;
  audience.expiry = states.expiry ?? null;
  const [failures] = await Promise.all([
    orNote(notes, "task instances", taskInstances(writers(audience), FAILING, 1)),
    addTasks([audience], []),
    addDags([audience], []),
  ]);
  if (version.hasStates) await addProgress([audience]);
  else markUntold([audience]);
  return { audience, events, failures, states, notes };
}

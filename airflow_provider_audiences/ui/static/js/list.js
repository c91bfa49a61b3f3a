/** The list of all audiences. */

import { addProgress, loadAll, state } from "./load.js";
import {
  byNeed,
  changesOf,
  driftNow,
  IN_ORDER,
  lastSuccess,
  liveNow,
  NEEDS_YOU,
  newest,
  nextRun,
  RUNNING,
  UNKNOWN,
  verdict,
} from "./audience.js";
import { announce, el, fill } from "./dom.js";
import { count, day, isNumber, NOTHING, number, signed } from "./format.js";
import { badge, emptyState, noteList, progressBar, when } from "./parts.js";
import { KINDS, PLATFORMS } from "./targets.js";

const RELOAD_MS = 60_000;
const PROGRESS_MS = 4_000;
const ROWS_AT_ONCE = 60;
const GROUPS = [
  ["all", "All", () => true],
  ["needs-you", "Needs you", ({ verdict: { group } }) => group === NEEDS_YOU],
  ["running", "Running", ({ verdict: { group } }) => group === RUNNING],
  ["in-order", "In order", ({ verdict: { group } }) => group === IN_ORDER],
  ["unknown", "No sync yet", ({ verdict: { group } }) => group === UNKNOWN],
];
const COLUMNS = ["Audience", "State", "Members", "Last change", "Last sync", "Drift", "Expiry begins"];

/** What the reader has chosen; kept while the page lives, so that going back finds it again. */
const chosen = { group: "all", words: "" };

/**
 * Show the list.
 *
 * @param {Element} page where to.
 * @param {{hasStates: boolean, text: string}} version Airflow's.
 * @param {() => boolean} isMine tells whether the page is still this view's.
 * @return {Promise<() => void>} a function that ends what goes on in the background.
 */
export async function showList(page, version, isMine) {
  const list = new List(page, version, isMine);
  await list.load();
  return () => list.end();
}

class List {
  constructor(page, version, isMine) {
    this.page = page;
    this.version = version;
    this.isMine = isMine;
    this.expiries = new Map();
    this.asked = new Set();
    this.timers = [];
    this.observer = new IntersectionObserver((entries) => this.addExpiries(entries), { rootMargin: "200px" });
  }

  end() {
    this.observer.disconnect();
    this.timers.forEach(clearInterval);
  }

  async load() {
    const { audiences, notes } = await loadAll(this.version);
    if (!this.isMine()) return;
    if (!this.version.hasStates) {
      notes.push(
        `Airflow ${this.version.text} keeps no state of assets: why a run was stopped or failed is in its log only, and ` +
          "progress and expiry can't be shown. Airflow 3.3 can.",
      );
    }
    for (const audience of audiences) audience.expiry = this.expiries.get(audience.id) ?? null;
    this.audiences = audiences;
    this.notes = notes;
    this.loadedAt = Date.now() / 1000;
    this.asked.clear();
    this.render();
    if (!this.timers.length) {
      this.timers.push(setInterval(() => this.reload(), RELOAD_MS));
      this.timers.push(setInterval(() => this.refreshProgress(), PROGRESS_MS));
    }
  }

  /** Load again where somebody looks; what was shown stays if that fails, with a word about it. */
  async reload(isAsked = false) {
    if (document.hidden && !isAsked) return;
    try {
      await this.load();
      if (isAsked) announce("The list is up to date.");
    } catch (error) {
      if (!error.status && error.status !== 0) throw error;
      fill(this.freshness, `Not updated since `, when(this.loadedAt), `: ${error.message}`);
    }
  }

  async refreshProgress() {
    const working = this.audiences.filter(({ active }) => active?.isWorking);
    if (document.hidden || !working.length || !this.version.hasStates) return;
    await addProgress(working);
    for (const audience of working) this.updateRow(audience);
  }

  /** Ask for the expiry of the audiences that come into view: no event tells it. */
  addExpiries(entries) {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      this.observer.unobserve(target);
      const audience = this.audiences.find(({ id }) => id === Number(target.dataset.id));
      if (!audience || this.asked.has(audience.id)) continue;
      this.asked.add(audience.id);
      state(audience.id, "expiry").then(
        (expiry) => {
          this.expiries.set(audience.id, expiry);
          audience.expiry = expiry;
          if (this.isMine()) this.updateRow(audience);
        },
        () => {}, // it has none, as a suppression list
      );
    }
  }

  updateRow(audience) {
    const row = this.body?.querySelector(`tr[data-id="${audience.id}"]`);
    if (!row) return;
    const hadFocus = row.contains(document.activeElement);
    const newer = rowOf({ audience, verdict: verdict(audience) });
    row.replaceWith(newer);
    if (hadFocus) newer.querySelector(".name").focus({ preventScroll: true });
  }

  render() {
    this.freshness = el("p.fresh", { role: "status" }, "Updated ", when(this.loadedAt));
    const refresh = el("button.button", { type: "button", onclick: () => this.reload(true) }, "Refresh");
    const head = el("header.head", {}, el("h1", {}, "Audiences"), el("div.tools", {}, this.freshness, refresh));
    if (!this.audiences.length) {
      fill(this.page, head, noteList(this.notes), nothingYet());
      return;
    }
    const hadFocus = document.activeElement?.id;
    const height = this.table?.offsetHeight ?? 0;
    this.table = el("div.table-frame");
    this.table.style.minHeight = `${height}px`; // so that a reader does not lose the place while rows come anew
    fill(this.page, head, this.filters(), noteList(this.notes), this.table);
    this.renderRows();
    if (hadFocus) document.getElementById(hadFocus)?.focus({ preventScroll: true });
  }

  filters() {
    const entries = this.entries();
    const chips = GROUPS.map(([name, label, fits]) => [name, label, entries.filter(fits).length])
      .filter(([name, , size]) => size || name === "all" || name === chosen.group)
      .map(([name, label, size]) =>
        el(
          "button.chip",
          {
            type: "button",
            id: `group-${name}`,
            "aria-pressed": String(name === chosen.group),
            onclick: () => {
              chosen.group = name;
              this.render();
            },
          },
          label,
          " ",
          el("span.size", {}, number(size)),
        ),
      );
    const search = el("input.search", {
      type: "search",
      id: "search",
      placeholder: "Search by name, id, connection, DAG",
      "aria-label": "Search audiences",
      autocomplete: "off",
      oninput: (event) => {
        chosen.words = event.target.value;
        this.renderRows();
      },
    });
    search.value = chosen.words;
    return el("div.filters", {}, el("div.chips", { role: "group", "aria-label": "Show" }, chips), search);
  }

  entries() {
    const now = Date.now() / 1000;
    return this.audiences.map((audience) => ({ audience, verdict: verdict(audience, now) })).sort(byNeed);
  }

  renderRows() {
    const [, , fits] = GROUPS.find(([name]) => name === chosen.group);
    const words = chosen.words.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = this.entries().filter((entry) => fits(entry) && matches(entry.audience, words));
    this.observer.disconnect();
    if (!shown.length) {
      this.table.style.minHeight = "";
      const clear = () => {
        Object.assign(chosen, { group: "all", words: "" });
        this.render();
      };
      const button = el("button.button", { type: "button", onclick: clear }, "Show all");
      fill(this.table, emptyState("No audience fits", ["Nothing here has all of these words in this group."], button));
      return;
    }
    this.body = el("tbody");
    const head = el("thead", {}, el("tr", {}, COLUMNS.map((name) => el("th", { scope: "col" }, name))));
    const caption = el("caption.unseen", {}, `${count(shown.length, "audience")}, those that need a person first`);
    fill(this.table, el("table.list", {}, caption, head, this.body));
    this.addRows(this.body, shown);
  }

  /** Add rows, some at a time, so that the page answers in between. */
  addRows(body, entries) {
    if (body !== this.body) return; // another choice was made
    const rows = entries.slice(0, ROWS_AT_ONCE).map(rowOf);
    body.append(...rows);
    if (this.version.hasStates) {
      for (const row of rows) if (row.dataset.kind === "audience") this.observer.observe(row);
    }
    const rest = entries.slice(ROWS_AT_ONCE);
    if (rest.length) setTimeout(() => this.addRows(body, rest));
    else this.table.style.minHeight = "";
  }
}

function matches(audience, words) {
  const dags = audience.producers.map(({ dag }) => dag);
  const platform = PLATFORMS[audience.platform];
  const text = [audience.name, audience.remoteId, audience.account, platform, ...dags].join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}

function rowOf({ audience, verdict: said }) {
  const last = newest(audience);
  const changes = changesOf(last?.report, last?.operation);
  return el(
    "tr",
    {
      "data-id": audience.id,
      "data-kind": audience.kind,
      "data-tone": said.tone,
      onclick: (event) => {
        const isText = window.getSelection()?.toString() || event.target.closest("a");
        if (!isText) window.location.hash = `#/audience/${audience.id}`;
      },
    },
    el("th.who", { scope: "row" }, whoOf(audience)),
    el("td.said", {}, stateOf(audience, said)),
    el("td.number", { "data-label": "Members" }, el("strong", {}, number(liveNow(audience)))),
    el("td.changes", { "data-label": "Last change" }, changeList(changes)),
    el("td", { "data-label": "Last sync" }, timesOf(audience)),
    cell("td.number", "Drift", signed(driftNow(audience))),
    cell("td", "Expiry begins", expiryOf(audience)),
  );
}

/** Return a cell that may be left out where there is no room for a dash. */
const cell = (name, label, content) => el(name, { "data-label": label, "data-nothing": content === NOTHING }, content);

function whoOf(audience) {
  const { platform, kind, account, remoteId, name } = audience;
  const where = [PLATFORMS[platform], KINDS[platform]?.[kind], account].filter(Boolean).join(" · ");
  return [
    el("a.name", { href: `#/audience/${audience.id}`, id: `audience-${audience.id}` }, name),
    el("span.sub", {}, where || audience.uri),
    remoteId && remoteId !== name ? el("span.sub.id", { title: "Id at the platform" }, remoteId) : null,
  ];
}

function stateOf(audience, said) {
  const bar = audience.active?.isWorking ? progressBar(audience.progress, `Progress of ${audience.name}`) : null;
  return [
    badge(said),
    said.guard ? [" ", el("code.guard", {}, said.guard)] : null,
    " ",
    el("span.text", { title: said.text }, said.text),
    bar,
  ];
}

function changeList({ added, removed, refreshed, refused }) {
  const parts = [
    [added || null, "plus", `+${number(added)}`, "added"],
    [removed || null, "minus", `−${number(removed)}`, "removed"],
    [refreshed || null, "turn", number(refreshed), "refreshed"],
    [refused || null, "mute", number(refused), "refused"],
  ].filter(([value]) => isNumber(value));
  if (!parts.length) return isNumber(added ?? removed) ? el("span.sub", {}, "none") : NOTHING;
  return parts.map(([, name, text, word]) => el(`span.change.${name}`, {}, text, " ", el("span.word", {}, word)));
}

function timesOf(audience) {
  const next = nextRun(audience);
  const then = next.at === null ? next.why : when(next.at, "next ");
  return [when(lastSuccess(audience)) ?? "never", then ? el("span.sub", {}, then) : null];
}

function expiryOf({ expiry }) {
  if (!expiry || !isNumber(expiry.first)) return NOTHING;
  return [when(expiry.first), el("span.sub", {}, day(expiry.first))];
}

function nothingYet() {
  return emptyState("No audience yet", [
    "This page shows each AppLovin audience, suppression list and PAI group that a DAG of this Airflow writes to.",
    "Write a DAG with AppLovinSyncAudienceOperator or another operator of this provider. Its audience appears here as " +
      "soon as Airflow has read the DAG, and its figures after the first run.",
    "An operator whose audience is a template is not seen before a run: name its asset by the argument asset=.",
  ]);
}


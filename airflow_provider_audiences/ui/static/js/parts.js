/** Pieces that the list and an audience's own page share. */

import { ROOT } from "./api.js";
import { outerLink, pageOf } from "./airflow.js";
import { el, icon } from "./dom.js";
import { exact, number, relative } from "./format.js";

const SIGNS = {
  bad: "M8 1.5 15 14H1L8 1.5Zm0 4.5v4m0 1.6v.8",
  warn: "M8 1.2a6.8 6.8 0 1 0 0 13.6A6.8 6.8 0 0 0 8 1.2Zm0 3.4v4.2m0 1.8v.8",
  info: "M8 1.2a6.8 6.8 0 1 0 6.8 6.8M8 4.5V8l2.4 2",
  mute: "M3 8h10",
  good: "m2.5 8.6 3.6 3.6 7.4-8.2",
};

/** Return the badge of a verdict: a sign and a word, so that nobody has to see its colour. */
export const badge = ({ tone, label }) => el(`span.badge.${tone}`, {}, icon(SIGNS[tone]), label);

/** Return a time as "3 hours ago"; its title has the exact one. */
export function when(seconds, prefix = "") {
  if (seconds === null || seconds === undefined) return null;
  const iso = new Date(seconds * 1000).toISOString();
  return el("time", { datetime: iso, title: exact(seconds) }, prefix, relative(seconds));
}

/** Return a bar of how far a run is; without numbers, one that only moves. */
export function progressBar(progress, label) {
  const isKnown = progress && progress.total > 0;
  const share = isKnown ? Math.min(100, (100 * progress.sent) / progress.total) : null;
  const attributes = { "aria-label": label, max: 100, value: share };
  if (isKnown) attributes["aria-valuetext"] = `${number(progress.sent)} of ${number(progress.total)} members sent`;
  return el("progress", attributes);
}

/** Return the state of a page that has nothing to show: a heading, texts, and what can be done. */
export function emptyState(title, texts, ...actions) {
  return el(
    "section.empty",
    {},
    el("h2", {}, title),
    texts.map((text) => el("p", {}, text)),
    actions.length ? el("p.actions", {}, actions) : null,
  );
}

/** Return what to show where the API has refused or failed. */
export function errorState(error, onRetry) {
  const retry = el("button.button", { type: "button", onclick: onRetry }, "Try again");
  if (error.status === 401) {
    return emptyState(
      "You are not logged in",
      ["Airflow has ended your session. Log in again, and come back to this page."],
      outerLink(pageOf.login(), "Log in", { class: "button" }),
      retry,
    );
  }
  if (error.status === 403) {
    return emptyState(
      "You may not see audiences",
      [
        "This page shows what Airflow's API tells you about assets, and your role may not read assets.",
        "Ask whoever runs this Airflow for the permission to read assets, asset aliases, DAGs and task instances.",
      ],
      retry,
    );
  }
  if (error.status === 404) {
    return emptyState("This audience is not here", ["No asset has this number: it may have been removed."], retry);
  }
  return emptyState("Airflow did not answer", [error.message, `The API was asked at ${ROOT.href}.`], retry);
}

/** Return notes about what is left out, or null. */
export function noteList(notes) {
  if (!notes.length) return null;
  return el(
    "aside.notes",
    { "aria-label": "What is not shown" },
    notes.map((note) => el("p", {}, note)),
  );
}

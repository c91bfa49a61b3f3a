/** What the page has to do with Airflow's own interface around it: addresses, navigation, light and dark. */

import { el } from "./dom.js";
import { ROOT } from "./api.js";

const path = (...parts) => new URL(parts.map(encodeURIComponent).join("/"), ROOT).href;

/** Addresses of Airflow's own pages. */
export const pageOf = {
  dag: (dag) => path("dags", dag),
  run: (dag, run) => path("dags", dag, "runs", run),
  task: (dag, run, task, mapIndex) =>
    mapIndex >= 0
      ? path("dags", dag, "runs", run, "tasks", task, "mapped", mapIndex)
      : path("dags", dag, "runs", run, "tasks", task),
  asset: (id) => path("assets", id),
  login: () => path("auth", "login"),
};

/** Return the window of Airflow's interface, or null if the page stands alone, or its frame is of another site. */
function outerWindow() {
  try {
    return window.parent !== window && window.parent.document ? window.parent : null;
  } catch {
    return null;
  }
}

/**
 * Return a link to one of Airflow's own pages.
 *
 * The page's frame is sandboxed: it may not navigate its parent. A link inside the parent may, so the click is handed on.
 */
export function outerLink(href, text, attributes = {}) {
  const follow = (event) => {
    const outer = outerWindow();
    if (!outer) return;
    event.preventDefault();
    const link = outer.document.createElement("a");
    link.href = href;
    if (event.ctrlKey || event.metaKey || event.button === 1) {
      link.target = "_blank";
      link.rel = "noopener";
    }
    outer.document.body.append(link);
    link.click();
    link.remove();
  };
  return el("a", { href, target: "_top", onclick: follow, onauxclick: (event) => event.button === 1 && follow(event), ...attributes }, text);
}

/** Return the theme that Airflow shows, or null if the browser's is to be followed. */
function outerTheme() {
  const outer = outerWindow();
  if (!outer) return null;
  const { classList } = outer.document.documentElement;
  return ["dark", "light"].find((theme) => classList.contains(theme)) ?? null;
}

/**
 * Follow Airflow's light and dark, or the browser's where the page stands alone.
 *
 * @param {() => void} onChange called after each change.
 */
export function followTheme(onChange) {
  const preference = window.matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const theme = outerTheme() ?? (preference.matches ? "dark" : "light");
    if (document.documentElement.dataset.theme === theme) return;
    document.documentElement.dataset.theme = theme;
    onChange();
  };
  const outer = outerWindow();
  document.documentElement.toggleAttribute("data-framed", outer !== null);
  if (outer) {
    new MutationObserver(apply).observe(outer.document.documentElement, { attributeFilter: ["class"] });
  }
  preference.addEventListener("change", apply);
  apply();
}

/**
 * Return the route that the page is to show first: its own, or that of Airflow's address, so that a reload or a link
 * comes back to the same audience.
 */
export function firstRoute() {
  if (window.location.hash) return window.location.hash;
  const outer = outerWindow();
  return outer?.location.hash.startsWith("#/") ? outer.location.hash : "#/";
}

/** Show the route in Airflow's address too. */
export function mirrorRoute() {
  const outer = outerWindow();
  if (!outer || outer.location.hash === window.location.hash) return;
  const { pathname, search } = outer.location;
  outer.history.replaceState(outer.history.state, "", `${pathname}${search}${window.location.hash}`);
}

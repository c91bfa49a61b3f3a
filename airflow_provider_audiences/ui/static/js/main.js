/** The page's beginning: routes, states, and what the two views share. */

import { firstRoute, followTheme, mirrorRoute } from "./airflow.js";
import { ApiError } from "./api.js";
import { showDetail } from "./detail.js";
import { el, fill } from "./dom.js";
import { showList } from "./list.js";
import { airflowVersion } from "./load.js";
import { errorState } from "./parts.js";
import { redrawPlots } from "./plots.js";

const page = document.getElementById("page");
let version = null;
let end = () => {};
let turn = 0;

function loading() {
  const lines = Array.from({ length: 6 }, () => el("div.bone"));
  return el("section.loading", { "aria-busy": "true" }, el("p.unseen", { role: "status" }, "Loading audiences"), lines);
}

/** Show what the address says; a newer call takes over from an older one that still loads. */
async function show() {
  const mine = ++turn;
  const isMine = () => mine === turn;
  end();
  end = () => {};
  mirrorRoute();
  const [, id] = /^#\/audience\/(\d+)$/.exec(window.location.hash) ?? [];
  fill(page, loading());
  try {
    version ??= await airflowVersion();
    const stop = await (id ? showDetail(page, version, isMine, Number(id)) : showList(page, version, isMine));
    if (isMine()) end = stop;
    else stop();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (isMine()) fill(page, id ? el("a.back", { href: "#/" }, "← All audiences") : null, errorState(error, show));
  }
}

followTheme(redrawPlots);
if (window.location.hash !== firstRoute()) window.history.replaceState(null, "", firstRoute());
window.addEventListener("hashchange", show);
show();

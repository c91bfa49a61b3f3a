/**
 * Asks Airflow's REST API, with the session of whoever looks at the page. The API decides what may be seen.
 */

/** The root of Airflow's pages: the folder above this page's, also behind a proxy that gives Airflow a path. */
export const ROOT = new URL("../", new URL(".", document.location.href));
const API = new URL("api/v2/", ROOT);
const PAGE = 100; // the most that the API returns at once, by default
const AT_ONCE = 6; // what browsers send to one server at once
const TIMEOUT_MS = 60_000;

/** A reply that is no success, or none at all (status 0). */
export class ApiError extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/**
 * Send a request and return the JSON of its reply.
 *
 * @param {string} path below the API's root.
 * @param {Object<string, any>} query parameters; undefined ones are left out.
 * @param {any} body sent as JSON by POST; without it the request is a GET.
 * @throws {ApiError} the API refuses, fails, or can't be reached.
 */
export async function ask(path, query = {}, body = undefined) {
  const url = new URL(path, API);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) url.searchParams.set(name, value);
  }
  const options = {
    headers: { accept: "application/json" },
    credentials: "same-origin",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  };
  if (body !== undefined) {
    options.method = "POST";
    options.body = JSON.stringify(body);
    options.headers["content-type"] = "application/json";
  }
  let reply;
  try {
    reply = await fetch(url, options);
  } catch (error) {
    const why = error.name === "TimeoutError" ? "it did not answer within a minute" : "there is no connection to it";
    throw new ApiError(0, `Airflow's API can't be reached: ${why}.`);
  }
  if (!reply.ok) throw new ApiError(reply.status, await detailOf(reply));
  return reply.json();
}

async function detailOf(reply) {
  const text = await reply.text();
  try {
    const { detail } = JSON.parse(text);
    if (typeof detail === "string") return detail;
  } catch {
    // Not the API's own error, but one of a proxy: its text says nothing to users.
  }
  return `Airflow's API answered with status ${reply.status}.`;
}

/**
 * Return the entries of all pages of a list, or of the newest.
 *
 * @param {string} path below the API's root.
 * @param {string} key name of the list in the replies.
 * @param {Object<string, any>} query parameters.
 * @param {number} most pages to read at most.
 * @param {(entries: any[]) => boolean} isEnough told all entries so far; true ends the reading.
 */
export async function pages(path, key, query = {}, most = 100, isEnough = () => false) {
  const first = await ask(path, { ...query, limit: PAGE, offset: 0 });
  const entries = [...first[key]];
  const size = Math.max(first[key].length, 1); // less than asked for where Airflow is set so
  const last = Math.min(Math.ceil((first.total_entries ?? 0) / size), most);
  for (let page = 1; page < last && !isEnough(entries); page += AT_ONCE) {
    const numbers = Array.from({ length: Math.min(AT_ONCE, last - page) }, (_, index) => page + index);
    const replies = await Promise.all(
      numbers.map((number) => ask(path, { ...query, limit: size, offset: number * size })),
    );
    for (const reply of replies) entries.push(...reply[key]);
  }
  return entries;
}

/**
 * Call a function for each item, a few at a time, and return its results in order; null where the API refused one.
 *
 * @param {any[]} items the items.
 * @param {(item: any) => Promise<any>} call asks the API about one.
 */
export async function each(items, call) {
  const results = new Array(items.length).fill(null);
  let next = 0;
  const work = async () => {
    while (next < items.length) {
      const index = next++;
      try {
        results[index] = await call(items[index]);
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, items.length) }, work));
  return results;
}

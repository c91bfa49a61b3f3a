/** Numbers and times as people read them. Times are epoch seconds, shown in the time zone of the browser. */

const NUMBER = new Intl.NumberFormat("en");
const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 2 });
const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const DAY = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", year: "numeric" });
const MOMENT = new Intl.DateTimeFormat("en", {
  day: "numeric",
  month: "short",
  year: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
});
const EXACT = new Intl.DateTimeFormat("en", { dateStyle: "full", timeStyle: "long", hourCycle: "h23" });
const UNITS = [
  ["year", 365 * 86400],
  ["month", 30 * 86400],
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
];

export const NOTHING = "–";

/** Return whether a value is a number that can be shown. */
export const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** Return a number with separators, or a dash for what is no number. */
export const number = (value) => (isNumber(value) ? NUMBER.format(value) : NOTHING);

/** Return a number in few characters: 1.25M. */
export const compact = (value) => (isNumber(value) ? COMPACT.format(value) : NOTHING);

/** Return a number with its sign: +300, −12. */
export function signed(value) {
  if (!isNumber(value)) return NOTHING;
  return value > 0 ? `+${NUMBER.format(value)}` : NUMBER.format(value).replace("-", "−");
}

/** Return a share as a percentage with one decimal: 1.5%. */
export const percent = (ratio) =>
  ratio > 0 && ratio < 0.001 ? "under 0.1%" : `${(100 * ratio).toFixed(1).replace(/\.0$/, "")}%`;

/** Return a count with its word: "1 member", "2 members". */
export const count = (value, word) => `${number(value)} ${word}${value === 1 ? "" : "s"}`;

/** Return a time as "3 hours ago" or "in 2 days". */
export function relative(seconds, now = Date.now() / 1000) {
  if (!isNumber(seconds)) return NOTHING;
  const difference = seconds - now;
  for (const [unit, length] of UNITS) {
    if (Math.abs(difference) >= length * 0.95) return RELATIVE.format(Math.round(difference / length), unit);
  }
  return difference <= 0 ? "just now" : "in less than a minute";
}

/** Return a time as day and minute. */
export const moment = (seconds) => (isNumber(seconds) ? MOMENT.format(seconds * 1000) : NOTHING);

/** Return a time in full, with its time zone. */
export const exact = (seconds) => (isNumber(seconds) ? EXACT.format(seconds * 1000) : "");

/** Return a day. */
export const day = (seconds) => (isNumber(seconds) ? DAY.format(seconds * 1000) : NOTHING);

/** Return a duration: 4.2 s, 3 min 20 s. */
export function duration(seconds) {
  if (!isNumber(seconds)) return NOTHING;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${minutes} min ${Math.round(seconds % 60)} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Return the epoch seconds of a time of the API, which is a text; numbers are returned as they are. */
export function seconds(value) {
  if (isNumber(value)) return value;
  if (typeof value !== "string" || !value) return null;
  // A day without a time is meant as it is written, and not as midnight in Greenwich.
  const time = Date.parse(/^\d{4}-\d\d-\d\d$/.test(value) ? `${value}T00:00:00` : value);
  return Number.isNaN(time) ? null : time / 1000;
}

// The candles' intervals, and how a chart's axis tells their times: local, but days and longer in UTC, as they are cut.

import { defaultHorzScaleBehavior, TickMarkType } from "../vendor/lightweight-charts/lightweight-charts.standalone.production.mjs";

export const INTERVALS = [
  "1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M",
]; // prettier-ignore
export const FAVOURITES = ["1m", "5m", "15m", "1h", "4h", "1d"];

const NAMES = { s: "second", m: "minute", h: "hour", d: "day", w: "week", M: "month" };

/** "15 minutes" of "15m". */
export function nameOf(interval) {
  const count = parseInt(interval, 10);
  return `${count} ${NAMES[interval.at(-1)]}${count > 1 ? "s" : ""}`;
}

/** True for an interval of whole days, whose candles begin at midnight UTC. */
export function isOfDays(interval) {
  return "dwM".includes(interval.at(-1));
}

// How heavy a mark on the axis is, as the chart library counts it.
const WEIGHTS = { second: 10, minute: 20, minutes5: 21, minutes30: 22, hour: 30, hours3: 31, hours6: 32, hours12: 33, day: 50, month: 60, year: 70 }; // prettier-ignore

/** The library's time axis, but days and hours begin where they do for the visitor. `utc` switches that off. */
export class LocalTimeScale extends defaultHorzScaleBehavior() {
  utc = false;

  /** Called by the library: say of each point from `from` on what begins with it. */
  fillWeightsForPoints(points, from) {
    for (let index = from; index < points.length; index++) {
      const now = this.partsOf(points[index].originalTime);
      const before = index ? this.partsOf(points[index - 1].originalTime) : now;
      points[index].timeWeight = weightBetween(before, now);
    }
  }

  /** Year, month, day, hour, minute and second of seconds since 1970. */
  partsOf(seconds) {
    const at = new Date((seconds + (this.utc ? 0 : offsetOf(seconds))) * 1000);
    return {
      year: at.getUTCFullYear(),
      month: at.getUTCMonth(),
      day: at.getUTCDate(),
      hour: at.getUTCHours(),
      minute: at.getUTCMinutes(),
      second: at.getUTCSeconds(),
    };
  }

  /** The text of a mark on the axis. */
  markOf(seconds, type) {
    const { year, month, day, hour, minute, second } = this.partsOf(seconds);
    if (type === TickMarkType.Year) return String(year);
    if (type === TickMarkType.Month) return MONTHS[month];
    if (type === TickMarkType.DayOfMonth) return String(day);
    return [hour, minute, ...(type === TickMarkType.TimeWithSeconds ? [second] : [])].map(two).join(":");
  }

  /** The text at the foot of the crosshair. */
  momentOf(seconds) {
    const { year, month, day, hour, minute, second } = this.partsOf(seconds);
    const date = `${day} ${MONTHS[month]} ${year}`;
    return this.utc ? `${date} UTC` : `${date} ${two(hour)}:${two(minute)}${second ? `:${two(second)}` : ""}`;
  }
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const two = (number) => String(number).padStart(2, "0");

/** Seconds that local time is ahead of UTC at a moment. */
function offsetOf(seconds) {
  return -60 * new Date(seconds * 1000).getTimezoneOffset();
}

function weightBetween(before, now) {
  if (now.year !== before.year) return WEIGHTS.year;
  if (now.month !== before.month) return WEIGHTS.month;
  if (now.day !== before.day) return WEIGHTS.day;
  if (now.hour !== before.hour) {
    const crosses = (hours) => Math.floor(now.hour / hours) !== Math.floor(before.hour / hours);
    return crosses(12) ? WEIGHTS.hours12 : crosses(6) ? WEIGHTS.hours6 : crosses(3) ? WEIGHTS.hours3 : WEIGHTS.hour;
  }
  if (now.minute !== before.minute) {
    const crosses = (minutes) => Math.floor(now.minute / minutes) !== Math.floor(before.minute / minutes);
    return crosses(30) ? WEIGHTS.minutes30 : crosses(5) ? WEIGHTS.minutes5 : WEIGHTS.minute;
  }
  return WEIGHTS.second;
}

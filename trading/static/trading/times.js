// Every <time datetime> on the page is shown in the visitor's zone, with the zone in the tooltip. Without this module
// the page shows UTC, as the server wrote it.

import { dateTime, day, shortDate, timeOfDay } from "./format.js";

const SHOWN = { time: timeOfDay, day, full: dateTime };

/** Show the times below `root` locally; data-show is "time", "day", "full" or nothing (a short date). */
export function localTimes(root) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const iso = element.getAttribute("datetime");
    element.textContent = (SHOWN[element.dataset.show] ?? shortDate)(iso);
    element.title = dateTime(iso);
  }
}

localTimes(document);

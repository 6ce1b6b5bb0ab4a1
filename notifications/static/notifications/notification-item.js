// One notification as a list item, the same in the bell and on the page: what happened, when, and a way to it.

const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

/** An <li> of a notification as the API tells it. */
export function notificationItem({ id, level, title, text, path, at, read }) {
  const item = document.createElement("li");
  item.className = `news-item ${level}${read ? "" : " unread"}`;
  item.dataset.id = id;
  const link = document.createElement(path ? "a" : "div");
  if (path) link.href = path;
  link.className = "news-link";
  const heading = document.createElement("strong");
  heading.textContent = title;
  const time = document.createElement("time");
  const moment = new Date(at);
  time.dateTime = at;
  time.title = FULL.format(moment);
  const today = moment.toDateString() === new Date().toDateString();
  time.textContent = today ? TIME.format(moment) : DAY.format(moment);
  link.append(heading, time);
  if (text) {
    const body = document.createElement("p");
    body.textContent = text;
    link.append(body);
  }
  if (!read) {
    const hint = document.createElement("span");
    hint.className = "visually-hidden";
    hint.textContent = "unread";
    heading.prepend(hint);
  }
  item.append(link);
  return item;
}

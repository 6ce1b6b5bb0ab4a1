// The list of notifications: what is opened counts as read, and on the first page of all news what is new appears on top.

import { markRead } from "./notification-bell.js";
import { notificationItem } from "./notification-item.js";

const list = document.querySelector(".news-page");

list.addEventListener("click", ({ target }) => {
  const item = target.closest(".news-item.unread");
  if (item) markRead({ ids: [Number(item.dataset.id)] });
});

document.addEventListener("notifications", ({ detail: { type, notifications, unread } }) => {
  for (const told of notifications) {
    const shown = list.querySelector(`[data-id="${told.id}"]`);
    const item = notificationItem(told);
    if (type === "update" && "live" in list.dataset) {
      shown?.remove();
      list.prepend(item);
    } else {
      shown?.replaceWith(item);
    }
  }
  if (notifications.length && "live" in list.dataset) list.parentElement.querySelector(".empty")?.remove();
  if (!unread) for (const item of list.querySelectorAll(".unread")) item.classList.remove("unread");
});

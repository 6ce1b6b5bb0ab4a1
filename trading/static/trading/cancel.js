// Buttons marked data-cancel cancel that order and say what became of it.

import { show } from "./toasts.js";

const cookie = (name) =>
  document.cookie
    .split("; ")
    .find((each) => each.startsWith(`${name}=`))
    ?.slice(name.length + 1);

async function cancel(button) {
  const headers = { "X-CSRFToken": cookie("csrftoken") ?? "" };
  if (button.dataset.account) headers["X-Account"] = button.dataset.account;
  button.disabled = true;
  try {
    const answer = await fetch(`/api/v1/orders/${button.dataset.cancel}`, { method: "DELETE", headers });
    const body = await answer.json();
    if (!answer.ok) throw new Error(body.error.message);
    show({ kind: "success", title: `Order ${button.dataset.cancel} is canceled` });
    setTimeout(() => location.reload(), 600);
  } catch (error) {
    button.disabled = false;
    show({ kind: "error", title: "Not canceled", text: error.message });
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-cancel]");
  if (button) cancel(button);
});

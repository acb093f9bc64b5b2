// Pages work without this file. With it, a page that waits shows changes by itself, and a gate
// that the address names has the focus.
"use strict";

const main = document.getElementById("main");

/** Read the page again and replace what changed, unless the reader is typing in it. */
async function refresh() {
  const typing = main.contains(document.activeElement) && document.activeElement.closest("form, details");
  if (document.visibilityState !== "visible" || typing) return true;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const next = page.getElementById("main");
    if (!next) return true;
    if (next.innerHTML !== main.innerHTML) main.replaceChildren(...next.childNodes);
    main.classList.remove("stale");
    return next.hasAttribute("data-refresh");
  } catch {
    main.classList.add("stale");
    return true;
  }
}

async function keepFresh() {
  if (await refresh()) setTimeout(keepFresh, Number(main.dataset.refresh));
}

if (main && main.dataset.refresh) setTimeout(keepFresh, Number(main.dataset.refresh));
const focused = document.querySelector("[data-focus]");
if (focused) {
  focused.scrollIntoView({ block: "center" });
  (focused.querySelector("input:not([type=hidden])") || focused).focus();
}

// What a page does beyond reading: it stays current, moves by keys, copies, and sends a form once. Without it all is there.
"use strict";

const live = document.getElementById("live");
const say = (text) => { live.textContent = text; };

// --- staying current -------------------------------------------------------------------------------------------------
const shown = document.querySelector("[data-live]");
let waiting = null;

async function renew() {
  waiting = null;
  const place = document.querySelector("[data-live]");
  if (!place || place.querySelector("form[data-sent]")) return;
  let answer;
  try {
    answer = await fetch(location.href, { headers: { "X-Renew": "1" } });
  } catch { return; }
  if (!answer.ok || answer.redirected) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector(`#${place.id}`);
  if (!fresh) return;
  const focused = document.activeElement;
  const row = focused && place.contains(focused) ? focused.closest("[id]") : null;
  const open = new Set([...place.querySelectorAll("details[open]")].map(nameOf));
  const typed = new Map([...place.querySelectorAll("input:not([type=hidden])")].map((field) => [field.name, field.value]));
  const versions = new Map([...place.querySelectorAll("tr[data-version]")].map((each) => [each.id, each.dataset.version]));
  const within = row && focused !== row ? [...row.querySelectorAll("a, button, input, summary")].indexOf(focused) : -1;
  const before = row ? row.getBoundingClientRect().top : 0;
  place.replaceWith(fresh);
  fresh.querySelectorAll("details").forEach((each) => { each.open = open.has(nameOf(each)); });
  fresh.querySelectorAll("input:not([type=hidden])").forEach((field) => { if (typed.has(field.name)) field.value = typed.get(field.name); });
  fresh.querySelectorAll("tr[data-version]").forEach((each) => {
    if (versions.size && versions.get(each.id) !== each.dataset.version) each.classList.add("changed");
  });
  if (row && document.getElementById(row.id)) {
    const again = document.getElementById(row.id);
    (within >= 0 ? again.querySelectorAll("a, button, input, summary")[within] : again)?.focus({ preventScroll: true });
    scrollBy(0, again.getBoundingClientRect().top - before);
  }
  prepare(fresh);
}

const nameOf = (details) => `${details.closest("[id]")?.id}/${details.querySelector("summary")?.textContent}`;

function soon() {
  waiting ??= setTimeout(renew, 250);
}

if (shown) {
  const origin = shown.dataset.origin ?? new URLSearchParams(location.search).get("origin");
  const stream = new EventSource(`/api/stream${origin === "replay" ? "?origin=replay" : ""}`);
  const mine = shown.dataset.incident;
  let lost = false;
  stream.addEventListener("incident", (event) => {
    if (!mine || String(JSON.parse(event.data).id) === mine) soon();
  });
  stream.addEventListener("reload", soon);
  stream.addEventListener("open", () => { if (lost) { lost = false; say(""); soon(); } });
  stream.addEventListener("error", () => { lost = true; say("Not live at the moment; trying again"); });
  addEventListener("pagehide", () => stream.close());
}

// --- forms and copies ------------------------------------------------------------------------------------------------
function prepare(root) {
  root.querySelectorAll("[data-copy]").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
      say("Copied");
      setTimeout(() => say(""), 2000);
    });
  });
  root.querySelectorAll("form[data-once]").forEach((form) => form.addEventListener("submit", (event) => {
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "yes";
    say(form.dataset.once);
    const button = event.submitter;
    if (button) setTimeout(() => { button.disabled = true; }, 0);
  }));
}
prepare(document);

// --- keys ------------------------------------------------------------------------------------------------------------
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
  const rows = [...document.querySelectorAll("#incidents tbody a")];
  const at = rows.indexOf(document.activeElement);
  const to = { j: at + 1, k: at - 1, g: 0, G: rows.length - 1 }[event.key];
  if (to !== undefined && rows.length) {
    rows[Math.max(0, Math.min(rows.length - 1, to))].focus();
    event.preventDefault();
  } else if (event.key === "/" && document.querySelector("[data-key='/']")) {
    document.querySelector("[data-key='/']").focus();
    event.preventDefault();
  }
});

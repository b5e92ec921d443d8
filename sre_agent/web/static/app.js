// What a page does beyond reading: it stays current, moves by keys, copies, and sends a form once. Without it all is
// there.
"use strict";

// A page that answers a form has the form's address: a reload, and staying current, are to read the page it stands on.
const here = document.getElementById("main").dataset.here;
if (here) history.replaceState(null, "", here);

const live = document.getElementById("live");
const say = (text) => { live.textContent = text; };

// --- staying current -------------------------------------------------------------------------------------------------
const CONTROLS = "a, button, input, summary, pre";
const shown = document.querySelector("[data-live]");
let waiting = null;

function soon(milliseconds = 250) {
  waiting ??= setTimeout(renew, milliseconds);
}

async function renew() {
  waiting = null;
  const place = document.querySelector("[data-live]");
  if (!place || place.querySelector("form[data-sent]")) return;
  if (getSelection().type === "Range" && place.contains(getSelection().anchorNode)) { soon(1000); return; }
  let answer;
  try {
    answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  } catch { return; }
  if (answer.redirected) { sayOver(); return; }
  if (!answer.ok) return;
  if (over) { over = false; say(""); }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById(place.id);
  if (!fresh || place.querySelector("form[data-sent]")) return;
  const held = placeOf(place);
  const open = new Set([...place.querySelectorAll("details[open]")].map(nameOf));
  const typed = new Map([...place.querySelectorAll("input:not([type=hidden])")].map((field) => [field.name, field.value]));
  const versions = new Map([...place.querySelectorAll("tr[data-version]")].map((each) => [each.id, each.dataset.version]));
  fresh.querySelectorAll("details").forEach((each) => { each.open = open.has(nameOf(each)); });
  fresh.querySelectorAll("input:not([type=hidden])").forEach((field) => { if (typed.has(field.name)) field.value = typed.get(field.name); });
  fresh.querySelectorAll("tr[data-version]").forEach((each) => {
    if (versions.size && versions.get(each.id) !== each.dataset.version) each.classList.add("changed");
  });
  keepTold(place, fresh);
  place.replaceWith(fresh);
  prepare(fresh);
  held(fresh);
  for (const beside of document.querySelectorAll("[data-current]")) {
    const now = page.getElementById(beside.id);
    if (now && !beside.contains(document.activeElement)) beside.replaceWith(now);
  }
}

// The session is over: signing in leads back here, with the reason that is being written.
let over = false;
function sayOver() {
  if (over) return;
  over = true;
  const link = document.createElement("a");
  link.textContent = "sign in";
  const lead = () => {
    const typed = document.querySelector("main input[name=reason]")?.value.trim();
    const back = location.pathname + (typed ? `?${new URLSearchParams({ reason: typed })}` : location.search);
    link.href = `/sign-in?${new URLSearchParams({ next: back })}`;
  };
  lead();
  link.addEventListener("click", lead);
  live.replaceChildren("Your session is over: ", link);
}

// What is looked at and what has the focus, to be found again after the place was renewed.
function placeOf(place) {
  const focused = place.contains(document.activeElement) ? document.activeElement : null;
  const seen = focused ?? (scrollY > 0 ? [...place.querySelectorAll("[id]")].find((each) => each.getBoundingClientRect().bottom > 0) : null);
  const within = seen?.closest("[id]");
  if (!within) return () => {};
  const number = focused && focused !== within ? [...within.querySelectorAll(CONTROLS)].indexOf(focused) : -1;
  const top = seen.getBoundingClientRect().top;
  const caret = focused?.tagName === "INPUT" ? [focused.selectionStart, focused.selectionEnd] : null;
  return (fresh) => {
    const again = fresh.id === within.id ? fresh : fresh.querySelector(`#${CSS.escape(within.id)}`);
    if (!again) return;
    const found = number >= 0 ? again.querySelectorAll(CONTROLS)[number] ?? again : again;
    if (focused) found.focus({ preventScroll: true });
    if (caret && found.setSelectionRange) found.setSelectionRange(...caret);
    scrollBy({ top: found.getBoundingClientRect().top - top, behavior: "instant" });
  };
}

// Why a form was refused stays until something happens to the incident.
function keepTold(place, fresh) {
  const told = place.querySelector("section[id] > [role=alert]");
  const section = told && fresh.querySelector(`#${told.parentElement.id}`);
  if (!section || fresh.dataset.version !== place.dataset.version || section.querySelector("[role=alert]")) return;
  section.firstElementChild.after(told);
}

const nameOf = (details) => `${details.closest("[id]")?.id}/${details.querySelector("summary")?.textContent}`;

let lost = false;
function listen() {
  const origin = shown.dataset.origin ?? new URLSearchParams(location.search).get("origin");
  const stream = new EventSource(`/api/stream${origin === "replay" ? "?origin=replay" : ""}`);
  const mine = shown.dataset.incident;
  stream.addEventListener("incident", (event) => {
    if (!mine || String(JSON.parse(event.data).id) === mine) soon();
  });
  stream.addEventListener("reload", () => soon());
  stream.addEventListener("open", () => { over = false; if (lost) { lost = false; say(""); soon(); } });
  stream.addEventListener("error", () => {
    lost = true;
    if (!over) say("Not live at the moment; trying again");
    if (stream.readyState === EventSource.CLOSED) { soon(); setTimeout(listen, 5000); }
  });
  addEventListener("pagehide", () => stream.close(), { once: true });
}

if (shown) {
  listen();
  setInterval(() => { if (!document.hidden) soon(); }, 60000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) soon(); });
}
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

// --- forms and copies ------------------------------------------------------------------------------------------------
function prepare(root) {
  root.querySelectorAll("[data-copy]").forEach((button) => {
    if (!navigator.clipboard) return;
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
        say("Copied");
      } catch {
        say("This browser does not copy: select the text");
      }
      setTimeout(() => say(""), 2000);
    });
  });
  root.querySelectorAll("form[data-once]").forEach((form) => form.addEventListener("submit", (event) => {
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "yes";
    form.setAttribute("aria-busy", "true");
    say(form.dataset.once);
    const button = event.submitter;
    setTimeout(() => { if (button) button.disabled = true; }, 0);
  }));
}
prepare(document);

const more = document.querySelector("details.more:not([data-keep])");
if (more && matchMedia("(max-width: 48rem)").matches) more.open = false;

document.querySelector("form[role=search]")?.addEventListener("submit", (event) => {
  const empty = [...event.target.elements].filter((field) => field.name && !field.value);
  empty.forEach((field) => { field.disabled = true; });
  setTimeout(() => empty.forEach((field) => { field.disabled = false; }), 0);
});

// --- keys ------------------------------------------------------------------------------------------------------------
document.getElementById("keys")?.removeAttribute("hidden");
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

// What pages do better with a script: they all work without one.
"use strict";

// A pressed button rests, so that a double press sends once; it wakes when the page is shown again from history.
document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (!button || event.defaultPrevented || event.target.method !== "post") return;
  setTimeout(() => { button.disabled = true; }, 0);
  waiting();
});
window.addEventListener("pageshow", (event) => {
  if (event.persisted) document.querySelectorAll("button:disabled").forEach((button) => { button.disabled = false; });
  done();
});

// The line at the top, for whatever takes over 400 ms.
let timer = 0;
function waiting() {
  clearTimeout(timer);
  timer = setTimeout(() => {
    document.getElementById("progress-line").hidden = false;
    document.getElementById("main").setAttribute("aria-busy", "true");
  }, 400);
}
function done() {
  clearTimeout(timer);
  document.getElementById("progress-line").hidden = true;
  document.getElementById("main").removeAttribute("aria-busy");
}
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  if (link && !link.target && !event.ctrlKey && !event.metaKey && !event.shiftKey && link.origin === location.origin && !link.getAttribute("href").startsWith("#")) waiting();
});
// Addresses hold what was asked for, not every empty field.
document.addEventListener("htmx:configRequest", (event) => {
  const asked = event.detail.parameters;
  for (const name of Object.keys(asked)) if (asked[name] === "" && name !== "email") delete asked[name];
});
document.addEventListener("htmx:beforeRequest", waiting);
document.addEventListener("htmx:afterRequest", done);

// One menu open at a time; Escape and a press elsewhere close it.
const opened = () => document.querySelectorAll("details.menu[open], details.payments[open]");
document.addEventListener("click", (event) => {
  opened().forEach((details) => { if (!details.contains(event.target)) details.open = false; });
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    opened().forEach((details) => { details.open = false; details.querySelector("summary").focus(); });
  }
  const typing = event.target.closest("input, textarea, select");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    const search = document.querySelector("input[type=search]");
    if (search) { event.preventDefault(); search.focus(); search.select(); }
  }
});

// A mouse over “2 payments” shows what a press shows.
document.addEventListener("pointerover", (event) => {
  const details = event.pointerType === "mouse" && event.target.closest("details.payments");
  if (details && !details.open) { details.open = true; details.dataset.hovered = ""; }
});
document.addEventListener("pointerout", (event) => {
  const details = event.target.closest("details.payments[data-hovered]");
  if (details && !details.contains(event.relatedTarget)) { details.open = false; delete details.dataset.hovered; }
});
document.addEventListener("click", (event) => {
  const details = event.target.closest("details.payments[data-hovered]");
  if (details) { event.preventDefault(); delete details.dataset.hovered; }
});

// What has just happened was said once; loading the page again does not say it again.
const address = new URL(location.href);
if (address.searchParams.has("done")) {
  address.searchParams.delete("done");
  address.searchParams.delete("share");
  address.searchParams.delete("again");
  history.replaceState(history.state, "", address);
}

// Errors are read first.
const summary = document.querySelector("[data-focus]");
if (summary) summary.focus();

// “Send it again” rests until it may be pressed. Without a script the answer to an early press says how long it rests.
document.querySelectorAll("button[data-rests]").forEach((button) => {
  const said = button.parentElement.querySelector("[data-resting]");
  button.disabled = true;
  setTimeout(() => { button.disabled = false; if (said) said.hidden = true; }, button.dataset.rests * 1000);
});

// Keeps the page live and asks in a dialog. Without it the same links and forms work by themselves.
// In: the stream of /api/v1/events. Out: single rows of the table, or the page's live part read anew. Texts are only ever set as
// text, never as HTML, but for parts of our own pages.
"use strict";

const body = document.body;
const byId = (id) => document.getElementById(id);

// ---- times, relative to now ------------------------------------------------------------------------------------------------
function relative(at) {
  const seconds = Math.round((Date.now() - at) / 1000);
  if (seconds < 0) return "in " + spell(-seconds);
  if (seconds < 5) return "just now";
  return spell(seconds) + " ago";
}
function spell(seconds) {
  if (seconds < 60) return seconds + " s";
  if (seconds < 3600) return Math.floor(seconds / 60) + " min";
  if (seconds < 86400) return Math.floor(seconds / 3600) + " h " + Math.floor((seconds % 3600) / 60) + " min";
  return Math.floor(seconds / 86400) + " d " + Math.floor((seconds % 86400) / 3600) + " h";
}
function freshen(root) {
  for (const time of root.querySelectorAll("time")) {
    const at = Date.parse(time.dateTime);
    if (!time.title) time.title = time.textContent;
    const text = relative(at);
    if (time.textContent !== text) time.textContent = text;
  }
}
function showTime(cell, iso) {
  if (!iso) return;
  let time = cell.querySelector("time");
  if (!time) {
    time = document.createElement("time");
    cell.replaceChildren(time);
  }
  time.dateTime = iso;
  time.title = iso.replace("T", " ").replace(/(\.\d+)?Z$/, " UTC");
  time.textContent = relative(Date.parse(iso));
}

// ---- what a screen reader is told ------------------------------------------------------------------------------------------
function say(text) {
  byId("said").textContent = text;
}

// ---- the table: one row for each change ------------------------------------------------------------------------------------
const rows = new Map();
for (const row of document.querySelectorAll("tr[data-mac]")) rows.set(row.dataset.mac, row);
const chips = [...document.querySelectorAll(".chip")];
let wanted = chips.find((chip) => chip.hasAttribute("aria-current"))?.dataset.state ?? "";

function showNode(node) {
  const row = rows.get(node.mac);
  if (!row) return;
  const before = row.dataset.state;
  row.dataset.state = node.state;
  const badge = row.querySelector(".badge");
  badge.dataset.state = node.state;
  badge.textContent = node.state;
  const stages = row.querySelector(".stages");
  stages.dataset.stage = node.stage;
  stages.setAttribute("aria-label", node.stage === 0 ? "no attempt goes on" : "step " + node.stage + " of 5");
  row.querySelector(".detail").textContent = node.detail;
  showTime(row.querySelector(".since"), node.since);
  showTime(row.querySelector(".heard"), node.heard);
  for (const action of row.querySelectorAll("[data-action]")) {
    const offered = node.actions.includes(action.dataset.action);
    // Who stands on what goes away is not to be thrown to the page's beginning.
    if (!offered && action === document.activeElement) row.querySelector("a").focus();
    action.hidden = !offered;
  }
  if (before !== node.state) {
    row.classList.remove("changed");
    requestAnimationFrame(() => row.classList.add("changed"));
    say(node.hostname + " is " + node.state);
    recount();
  }
  filterRow(row);
  showEmpty();
}
function filterRow(row) {
  const text = (byId("q")?.value ?? "").trim().toLowerCase();
  row.hidden = !((wanted === "" || row.dataset.state === wanted) && row.dataset.text.includes(text));
}
function filterAll() {
  rows.forEach(filterRow);
  showEmpty();
}
function showEmpty() {
  const none = byId("none");
  if (none && rows.size) none.hidden = [...rows.values()].some((row) => !row.hidden);
}
function recount() {
  const counts = new Map();
  for (const row of rows.values()) counts.set(row.dataset.state, (counts.get(row.dataset.state) ?? 0) + 1);
  for (const chip of chips) {
    const state = chip.dataset.state;
    const count = state === "" ? rows.size : counts.get(state) ?? 0;
    chip.querySelector("b").textContent = count;
    chip.parentElement.hidden = count === 0 && state !== "" && state !== wanted;
  }
}
if (body.dataset.live === "table") {
  byId("q").addEventListener("input", filterAll);
  byId("q").form.addEventListener("submit", (event) => event.preventDefault());
  byId("q").form.querySelector("button").hidden = true;
  for (const chip of chips) {
    chip.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      wanted = chip.dataset.state;
      for (const other of chips) other.toggleAttribute("aria-current", false);
      chip.setAttribute("aria-current", "true");
      history.replaceState(null, "", chip.getAttribute("href"));
      recount();
      filterAll();
    });
  }
}

// ---- the live part of other pages: read anew -------------------------------------------------------------------------------
let reading = null;
function readSoon() {
  if (reading === null) reading = setTimeout(readAnew, 250);
}
async function readAnew() {
  reading = null;
  const old = byId("live");
  // Not while somebody marks text in it.
  if (old.contains(getSelection().anchorNode) && !getSelection().isCollapsed) return readSoon();
  try {
    const answer = await fetch(location.href.split("#")[0], { headers: { Accept: "text/html" } });
    if (answer.redirected && new URL(answer.url).pathname === "/login") return location.assign("/login");
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
    if (!fresh) return;
    for (const details of old.querySelectorAll("details[id]")) {
      const same = fresh.querySelector("#" + CSS.escape(details.id));
      if (same) same.open = details.open;
    }
    const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
    const scrolled = old.querySelector(".log")?.scrollTop ?? 0;
    old.replaceWith(document.adoptNode(fresh));
    prepare(fresh);
    if (fresh.querySelector(".log")) fresh.querySelector(".log").scrollTop = scrolled;
    const again = focused && byId(focused);
    if (focused) (again && !again.hidden ? again : byId("main")).focus();
  } catch {
    // The stream notices a lost connection.
  }
}

// ---- the stream ------------------------------------------------------------------------------------------------------------
let last = Number(body.dataset.seq);
let wait = 1000;
function connected(state) {
  const sign = byId("connection");
  sign.dataset.state = state;
  sign.textContent = { on: "live", off: "not live", lost: "connection lost" }[state];
  byId("lost").hidden = state !== "lost";
}
let stream = null;
function watch() {
  stream?.close();
  const source = stream = new EventSource("/api/v1/events?after=" + last);
  const parsed = (event) => {
    if (event.lastEventId) last = Math.max(last, Number(event.lastEventId));
    return JSON.parse(event.data);
  };
  source.onopen = () => {
    wait = 1000;
    connected("on");
  };
  source.addEventListener("transition", (event) => {
    const { audit, node } = parsed(event);
    if (body.dataset.live === "table" && node) showNode(node);
    if (body.dataset.live === "part") {
      if (location.pathname === "/audit") readSoon();
      else if (concerns(audit.hostname, audit.mac)) {
        if (audit.from !== audit.to) say(audit.hostname + " is " + audit.to);
        readSoon();
      }
    }
  });
  source.addEventListener("report", (event) => {
    const { event: reported, node } = parsed(event);
    if (body.dataset.live === "table" && node) showNode(node);
    if (body.dataset.live === "part" && concerns(reported.hostname, reported.mac)) readSoon();
  });
  source.addEventListener("operation", (event) => {
    const operation = parsed(event);
    if (body.dataset.live !== "part" || !concerns(operation.hostname, operation.mac)) return;
    if (operation.state !== "running") say(operation.title + " " + operation.state + ": " + operation.text);
    readSoon();
  });
  source.addEventListener("pen", () => {
    if (location.pathname === "/strangers") readSoon();
  });
  source.addEventListener("reload", () => location.reload());
  source.onerror = async () => {
    source.close();
    if (stream !== source) return;
    connected("lost");
    // Somebody whose session has ended does not wait for ever.
    try {
      const answer = await fetch("/api/v1/session");
      if (answer.status === 401) return location.assign("/login");
      if (answer.ok && wait === 1000 && stream === source) {
        wait = 2000;
        return watch();
      }
    } catch {
      // Not reachable: again later.
    }
    setTimeout(() => stream === source && watch(), wait);
    wait = Math.min(wait * 2, 10000);
  };
}
// A page that the browser keeps for the way back would keep its stream too, of the few that a browser opens to one host.
addEventListener("pagehide", () => {
  stream?.close();
  stream = null;
});
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
function concerns(hostname, mac) {
  const path = decodeURIComponent(location.pathname);
  return path === "/nodes/" + hostname || path.toLowerCase() === "/nodes/" + mac;
}

// ---- the dialog ------------------------------------------------------------------------------------------------------------
const dialog = byId("dialog");
let opener = null;
document.addEventListener("click", async (event) => {
  const link = event.target.closest("a[data-action]");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    opener = link;
    try {
      const answer = await fetch(link.href);
      const form = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("confirm");
      if (!form) return location.assign(link.href);
      dialog.replaceChildren(document.adoptNode(form));
      dialog.showModal();
      form.querySelector("[autofocus]")?.focus();
    } catch {
      connected("lost");
    }
  }
  if (event.target.closest("[data-close]") && dialog.open) {
    event.preventDefault();
    dialog.close();
  }
});
dialog.addEventListener("close", () => {
  const back = opener && (byId(opener.id) ?? opener);
  if (back && !back.hidden) back.focus();
  else if (back) (back.closest("tr")?.querySelector("a") ?? byId("main")).focus();
  opener = null;
});
dialog.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const fault = form.querySelector(".fault");
  const button = form.querySelector("button[type=submit]");
  button.disabled = true;
  try {
    const answer = await fetch(form.action, {
      method: "POST",
      headers: { Accept: "application/json" },
      body: new URLSearchParams(new FormData(form)),
    });
    const said = await answer.json();
    if (answer.ok) {
      if (body.dataset.live === "table") showNode(said);
      else readSoon();
      return dialog.close();
    }
    fault.textContent = said.error;
  } catch {
    fault.textContent = "The appliance does not answer. Nothing is known of what was asked.";
  } finally {
    button.disabled = false;
  }
  fault.hidden = false;
});

// ---- reading a machine's status: it may take a minute --------------------------------------------------------------------------
document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-read]");
  if (!form) return;
  event.preventDefault();
  const button = form.querySelector("button");
  const fault = form.querySelector(".fault");
  button.disabled = true;
  button.textContent = "Reading…";
  say("reading");
  try {
    const answer = await fetch(form.action, {
      method: "POST",
      headers: { Accept: "application/json" },
      body: new URLSearchParams(new FormData(form)),
    });
    if (answer.ok) return readSoon();
    fault.textContent = (await answer.json()).error;
  } catch {
    fault.textContent = "The appliance does not answer.";
  } finally {
    button.disabled = false;
    button.textContent = "Read status";
  }
  fault.hidden = false;
});

// ---- copying ---------------------------------------------------------------------------------------------------------------
function prepare(root) {
  freshen(root);
  for (const text of root.querySelectorAll("pre.copy")) {
    const box = document.createElement("div");
    box.className = "copybox";
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(text);
        button.textContent = "Marked";
      }
      say(button.textContent);
    });
    text.replaceWith(box);
    box.append(text, button);
  }
}

prepare(document);
setInterval(() => freshen(document), 10000);
if (body.dataset.live === "poll") setInterval(readAnew, 10000);
if (body.dataset.live) watch();
// The code of a login link stands behind '#', which no server and no log is given.
const secret = byId("secret");
if (secret && location.hash.length > 1) {
  secret.value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  secret.form.querySelector("button").focus();
}

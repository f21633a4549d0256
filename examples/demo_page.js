// Shows what /state says, and flashes what changed. Every text is set as text, never as HTML.

const NAMES = { asgi: ["uvicorn", "· ASGI"], wsgi: ["waitress", "· WSGI"] };
const NOTES = [["colour", "blue"], ["fruit", "fig"], ["city", "Oslo"], ["tea", "green"], ["tree", "birch"]];
const SHOWN_AS_SQUARES = /^write \d+$/;
const REASONS = {
  live: "It opens a live session.",
  no_cookie: "The browser has no cookie yet.",
  unknown_id: "It opens nothing: no session has this id. It was signed out.",
  replaced: "It opens nothing: a newer login gave the session another id.",
};
const fields = (count) => `${count} ${count === 1 ? "field" : "fields"}`;
const byId = (id) => document.getElementById(id);
let pulse = "";
let acting = false;
let acts = 0; // that have ended
let note = 0;

// -- building ------------------------------------------------------------------------------

function element(name, text = "", className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

/** Put *children* into *place* if they say something else than before; the new ones flash. */
function fill(place, children) {
  const before = new Set([...place.children].map((child) => child.outerHTML.replace(/ ?changed/, "")));
  const isFirst = !place.dataset.filled;
  place.dataset.filled = "yes";
  if (before.size === children.length && children.every((child) => before.has(child.outerHTML))) return;
  for (const child of children) {
    if (!isFirst && !before.has(child.outerHTML)) child.classList.add("changed");
  }
  place.replaceChildren(...children);
}

function pairs(entries) {
  return Object.entries(entries).map(([term, text]) => {
    const row = element("div");
    row.append(element("dt", term), text instanceof Node ? text : element("dd", String(text)));
    return row;
  });
}

function inColours(token) {
  if (!token) return [element("em", "no cookie", "none")];
  const parts = token.split(".");
  if (parts.length !== 4) return [element("span", token)];
  return ["version", "kid", "id", "mac"].flatMap((part, at) => {
    const shown = element("span", parts[at], part);
    return at ? [element("i", "."), shown] : [shown];
  });
}

// -- showing -------------------------------------------------------------------------------

function showServer(card, { url, user, notes }) {
  fill(card.querySelector(".who"), [element("span", user ? `${user} is signed in` : "Nobody is signed in")]);
  const shown = Object.entries(notes).filter(([field]) => !SHOWN_AS_SQUARES.test(field));
  const writes = Object.entries(notes).filter(([field]) => SHOWN_AS_SQUARES.test(field));
  const none = element("div", writes.length ? "" : "The session has no fields.", "none");
  fill(card.querySelector(".fields"), shown.length ? pairs(Object.fromEntries(shown)) : [none]);
  const squares = card.querySelector(".writes");
  squares.hidden = !writes.length;
  const text = `${fields(writes.length)}, written at once (round ${writes[0]?.[1]})`;
  fill(squares, [element("span", text), ...writes.map(() => element("i"))]);
  const link = new URL(url);
  link.hostname = location.hostname; // the cookie belongs to this name
  card.querySelector(".own").href = link;
  card.querySelector(".sign-in").textContent = user ? "Sign in again" : "Sign in as ada";
}

function showRecord(record) {
  if (!record) return [element("div", "No row belongs to this cookie.", "none")];
  const time = (seconds) => new Date(seconds * 1000).toLocaleString();
  return pairs({
    handle: record.handle,
    user: record.user_id ?? "none",
    version: record.version,
    created: time(record.created_at),
    expires: time(record.expires_at),
    "key id": record.kid,
    payload: `${record.payload.size} sealed bytes: ${record.payload.begins} …`,
  });
}

function showThief(thief) {
  byId("thief").hidden = !thief;
  if (!thief) return;
  fill(byId("thief-token"), inColours(thief.token));
  const sees = Object.entries(thief.servers).map(([server, { user, notes }]) => {
    const text = user ? `signed in as ${user}, ${fields(Object.keys(notes).length)}` : "opens nothing";
    return [NAMES[server][0], element("dd", text, user ? "" : "refused")];
  });
  fill(byId("thief-sees"), pairs(Object.fromEntries(sees)));
  const live = "It works, as any copy does. Sign out, or sign in again, and look here.";
  const says = thief.reason === "live" ? live : REASONS[thief.reason] ?? `Refused: ${thief.reason}.`;
  fill(byId("thief-verdict"), [element("span", says)]);
}

function showAttempts(attempts) {
  byId("attempts").hidden = !attempts.length;
  fill(byId("attempts-list"), attempts.map(({ what, token, user, reason, why }) => {
    const shown = element("div", "", "attempt");
    const verdict = user ? `signed in as ${user}` : `Refused, ${reason}: ${why}.`;
    shown.append(element("p", what), element("p", token, "token"), element("p", verdict, user ? "" : "refused"));
    return shown;
  }));
}

function show(state) {
  for (const [name, server] of Object.entries(state.servers)) showServer(byId(name), server);
  fill(byId("token"), inColours(state.token));
  fill(byId("verdict"), [element("span", REASONS[state.reason] ?? `It is refused: ${state.reason}.`)]);
  fill(byId("record"), showRecord(state.record));
  fill(byId("keys"), state.keys.map(({ kid, state: is }) => {
    const row = element("li");
    row.append(element("code", kid), element("span", is, is));
    return row;
  }));
  showThief(state.thief);
  showAttempts(state.attempts);
  fill(byId("log"), state.log.map(({ time, server, event }) => {
    const row = element("li");
    row.append(element("time", new Date(time * 1000).toLocaleTimeString()), element("b", server), element("code", event));
    return row;
  }));
  const signedIn = Object.values(state.servers).some(({ user }) => user);
  for (const button of document.querySelectorAll(".sign-out, [data-action]")) {
    const isFree = ["rotate", "look-again"].includes(button.dataset.action);
    button.dataset.off = isFree || signedIn ? "" : "yes";
  }
  pulse = state.pulse;
  enable();
}

// -- asking --------------------------------------------------------------------------------

function enable() {
  for (const button of document.querySelectorAll("button")) button.disabled = acting || button.dataset.off === "yes";
}

async function ask(path, method = "GET") {
  const answer = await fetch(path, { method });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

function say(text) {
  fill(byId("says"), [element("span", text)]);
}

async function act(path) {
  const focused = document.activeElement;
  acting = true;
  enable();
  try {
    const { says, state } = await ask(path, "POST");
    show(state);
    say(says);
  } catch (error) {
    say(failure(error));
  }
  acting = false;
  acts += 1;
  enable();
  if (!focused?.disabled) focused?.focus(); // a button that was disabled has lost it
}

/** Return what to say when the page's own question has failed: only fetch fails with a TypeError. */
function failure(error) {
  const ended = "The demo has ended. Start it again with make demo SERVE=1.";
  return error instanceof TypeError ? ended : `That did not work: ${error.message}`;
}

/** Show what changed elsewhere, as at a server's own page. */
async function follow() {
  try {
    const before = acts;
    if ((await ask("/pulse")).pulse === pulse) return;
    const { state } = await ask("/state");
    if (before === acts) show(state); // else it is older than what is shown
  } catch (error) {
    say(failure(error));
  }
}

function build(name) {
  const card = byId("server").content.cloneNode(true).firstElementChild;
  card.id = name;
  [card.querySelector(".program").textContent, card.querySelector(".protocol").textContent] = NAMES[name];
  card.querySelector(".sign-in").onclick = () => act(`/${name}/login?user=ada`);
  card.querySelector(".count").onclick = () => act(`/${name}/count`);
  card.querySelector(".sign-out").onclick = () => act(`/${name}/logout`);
  const form = card.querySelector("form");
  form.onsubmit = async (event) => {
    event.preventDefault();
    await act(`/${name}/note?${new URLSearchParams([[form.field.value, form.value.value]])}`);
    note += 1;
    suggest();
  };
  return card;
}

/** Put the next note into the forms, so that one can press on. */
function suggest() {
  for (const form of document.querySelectorAll("form.note")) {
    [form.field.value, form.value.value] = NOTES[note % NOTES.length];
  }
}

byId("servers").append(build("asgi"), build("wsgi"));
suggest();
for (const button of document.querySelectorAll("[data-action]")) {
  button.onclick = () => act(`/${button.dataset.action}`);
}
await follow();
setInterval(() => document.hidden || follow(), 1000);
addEventListener("focus", follow);

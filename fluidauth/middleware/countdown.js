// Says when the session is about to end, and offers to stay. It asks the page that it came from, without .js.
// Asking prolongs nothing. <script src="/session.js" data-warn="120" data-text="Your session ends in {time}."
// data-stay="Stay signed in" data-ended="/login" defer></script>
(() => {
  const { src, dataset } = document.currentScript;
  const url = src.replace(/\.js(\?.*)?$/, "");
  const warn = Number(dataset.warn || 120); // seconds before the end
  const box = document.createElement("div");
  const text = document.createElement("span");
  const stay = document.createElement("button");
  let end = null; // when the session ends if nothing happens, by this page's clock
  box.className = "session-countdown";
  box.setAttribute("role", "alertdialog");
  box.hidden = true;
  stay.type = "button";
  stay.textContent = dataset.stay || "Stay signed in";
  box.append(text, " ", stay);
  document.body.append(box);

  async function ask(method) {
    try {
      const headers = method === "GET" ? { "Session-Activity": "none" } : {};
      const answer = await (await fetch(url, { method, headers, cache: "no-store" })).json();
      if (end !== null && !answer.signed_in) leave();
      end = answer.signed_in ? Date.now() + 1000 * answer.expires_in : null;
    } catch { /* the server does not answer: the next question may be answered */ }
    show();
  }
  function show() {
    const left = end === null ? Infinity : Math.max(0, Math.round((end - Date.now()) / 1000));
    const time = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    box.hidden = left > warn;
    text.textContent = (dataset.text || "Your session ends in {time}.").replace("{time}", time);
    return left;
  }
  function leave() {
    if (dataset.ended) location.assign(dataset.ended);
    document.dispatchEvent(new Event("session-ended"));
  }
  stay.addEventListener("click", () => ask("POST"));
  setInterval(() => { if (show() === 0) ask("GET"); }, 1000);
  setInterval(() => ask("GET"), Math.min(30, warn / 4 + 1) * 1000); // another tab may have prolonged it
  ask("GET");
})();

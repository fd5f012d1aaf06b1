// Keeps a page true. When the daemon tells of an event, the page is read again and its regions marked data-live are
// exchanged; what a person is busy with is left alone. Without this file every page reads and every form works.

const atLeast = 1500; // ms between two readings
const from = document.body.dataset.liveFrom;
const light = document.getElementById("live");

let source = null;
let timer = 0;
let last = 0;
let reading = false;
let again = false;

const busy = (region) => {
  const at = document.activeElement;
  if (region.contains(at) && at.matches("input, select, textarea")) return true;
  const chosen = document.getSelection();
  return chosen && !chosen.isCollapsed && region.contains(chosen.anchorNode);
};

const stops = (region) => [...region.querySelectorAll("a, button, summary, input, select, textarea")];

const exchange = (region, fresh) => {
  if (region.innerHTML === fresh.innerHTML || busy(region)) return;
  const at = stops(region).indexOf(document.activeElement);
  const open = new Set([...region.querySelectorAll("details[open][id]")].map((d) => d.id));
  for (const d of fresh.querySelectorAll("details[id]")) d.open = d.open || open.has(d.id);
  region.replaceChildren(...fresh.childNodes);
  if (at >= 0) stops(region)[at]?.focus({ preventScroll: true });
  region.dispatchEvent(new CustomEvent("fresh", { bubbles: true }));
};

const read = async () => {
  if (reading) {
    again = true;
    return;
  }
  reading = true;
  last = Date.now();
  try {
    const answer = await fetch(location.href, { headers: { "Otpost-Live": "1" }, redirect: "manual" });
    if (answer.type === "opaqueredirect" || answer.status === 401) {
      location.reload(); // the session has ended
      return;
    }
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const region of document.querySelectorAll("[data-live][id]")) {
      const fresh = page.getElementById(region.id);
      if (fresh) exchange(region, fresh);
    }
  } catch {
    // the daemon is away; the stream comes back by itself and asks again
  } finally {
    reading = false;
    if (again) {
      again = false;
      soon();
    }
  }
};

const soon = () => {
  if (timer || document.hidden) return;
  timer = setTimeout(() => {
    timer = 0;
    read();
  }, Math.max(50, last + atLeast - Date.now()));
};

const show = (on) => {
  if (!light) return;
  light.textContent = on ? light.dataset.up : light.dataset.down;
  light.classList.toggle("on", on);
};

const connect = () => {
  if (!from || source || document.hidden) return;
  source = new EventSource(from);
  source.addEventListener("open", () => show(true));
  source.addEventListener("error", () => {
    show(false);
    if (source?.readyState === EventSource.CLOSED) {
      source = null;
      setTimeout(() => { soon(); connect(); }, 5000);
    }
  });
  source.addEventListener("change", soon);
  source.addEventListener("tick", soon);
};

const disconnect = () => {
  source?.close();
  source = null;
};

document.addEventListener("visibilitychange", () => (document.hidden ? disconnect() : connect()));
addEventListener("pagehide", disconnect);
addEventListener("pageshow", connect);
connect();

// Buttons that copy the text of the element that they name, and forms that ask before they do.
document.addEventListener("click", async (e) => {
  const button = e.target.closest("button[data-copy]");
  if (!button) return;
  e.preventDefault();
  const what = document.getElementById(button.dataset.copy);
  if (!what) return;
  try {
    await navigator.clipboard.writeText(what.textContent.trim());
    const said = button.textContent;
    button.textContent = button.dataset.done;
    setTimeout(() => { button.textContent = said; }, 1500);
  } catch {
    getSelection().selectAllChildren(what); // no clipboard here: let the person copy it
  }
});

document.addEventListener("submit", (e) => {
  const ask = (e.submitter?.dataset.ask) ?? e.target.dataset.ask;
  if (ask && !confirm(ask)) {
    e.preventDefault();
    return;
  }
  e.submitter?.setAttribute("aria-busy", "true");
});

document.documentElement.classList.add("script");

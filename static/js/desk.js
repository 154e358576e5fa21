/* The reviewer's desk: comfort on top of pages that already work. Keys of rows and buttons are handled in app.js. */

const $ = (selector, from = document) => from.querySelector(selector);
const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
const isTyping = (element) => element.matches("input:not([type=checkbox], [type=radio]), select, textarea, [contenteditable]");

/* --- rows: the place in the list survives drafting and coming back ------------------------------------------------ */

const PLACE = `desk:${location.pathname}${location.search}`;

function makeCurrent(row) {
  $$("[data-row].is-current").forEach((each) => each.classList.remove("is-current"));
  if (!row) return;
  row.classList.add("is-current");
  row.tabIndex = -1;
  row.focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}

// Whoever drafts goes on with the next row at once, so that keys pressed while the answer travels are for that one;
// whoever undoes stays.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-row] [name=quick][hx-post]");
  if (!button) return;
  const row = button.closest("[data-row]"), rows = $$("[data-row]");
  makeCurrent(button.value.startsWith("undo:") ? row : rows[rows.indexOf(row) + 1] ?? row);
});
// The row comes back anew. Whoever is still at it stays at it; nobody is fetched back to it.
document.body.addEventListener("htmx:afterSettle", (event) => {
  if (event.target.matches("tr[data-row]") && !$("[data-row].is-current")) makeCurrent(event.target);
});

// Drafts travel one after the other. Whoever goes on from here leaves when all of them have arrived.
const isDrafting = () => $("[name=quick].htmx-request") !== null;
let leaving = null;
document.addEventListener("click", (event) => {
  const way = event.target.closest("a[href], button[type=submit]:not([hx-post])");
  if (!way || !isDrafting()) return;
  event.preventDefault();
  leaving = way;
}, true);
document.body.addEventListener("htmx:afterRequest", () => setTimeout(() => {
  const way = leaving;
  if (way === null || isDrafting()) return;
  leaving = null;
  way.click();
}));

// Back from a question, the list stands where it was left: at the row whose question opened, or where the keys were.
addEventListener("pagehide", () => {
  const row = $("[data-row][id]:has(.htmx-request)") ?? $("[data-row].is-current[id]");
  if (row) sessionStorage.setItem(PLACE, row.id);
});
const left = sessionStorage.getItem(PLACE);
if (left && !location.hash) {
  const row = document.getElementById(left);
  if (row) makeCurrent(row);
}

/* --- keys ---------------------------------------------------------------------------------------------------------- */

document.addEventListener("keydown", (event) => {
  if ($("dialog[open]")) return;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    const form = event.target.closest?.("form") ?? $(".answer-form");
    const button = form && ($("[data-send]", form) ?? $("[type=submit]", form));
    if (button && !button.disabled) { event.preventDefault(); button.click(); }
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (isTyping(event.target)) {
    if (event.key === "Escape") { event.preventDefault(); event.target.blur(); }
    return;
  }
  const field = $(`main [data-key-focus="${CSS.escape(event.key)}"]`);
  if (field) { event.preventDefault(); field.focus(); return; }
  const summary = $(`main [data-key-open="${CSS.escape(event.key)}"]`);
  if (summary) {
    event.preventDefault();
    const details = summary.closest("details");
    details.open = true;
    ($("select, textarea", details) ?? summary).focus();
    return;
  }
  if (event.key === "f") {
    const filter = $("main .filters select");
    if (filter) { event.preventDefault(); filter.focus(); }
  } else if ((event.key === "j" || event.key === "k") && !$("[data-row]")) {
    $(event.key === "j" ? "[data-next]" : "[data-prev]")?.click();
  }
});

// A link to a part of the page opens what is folded there.
function openFragment() {
  if (location.hash !== "#talk") return;
  const details = $("#ask-somebody");
  const reply = $("#talk textarea[data-key-focus]");
  if (details && !reply) details.open = true;
  (reply ?? $("select, textarea", details ?? document.createElement("i")))?.focus();
}
openFragment();

// An answer named in the address is meant to be given: where words are needed, the cursor stands there already.
const chosen = $(".answer-form [name=answer]:checked");
if (chosen && new URLSearchParams(location.search).has("answer") && !matchMedia("(pointer: coarse)").matches) {
  const part = chosen.value === "not_mine" || chosen.value === "dont_know" ? "#id_named_person" : "#id_reason";
  const dated = chosen.value === "approve_until" || chosen.value === "rotate" ? "#id_until" : part;
  // Going to the part of the page that the address names takes the cursor away once more; it comes back after that.
  const write = () => { if (chosen.value !== "scope_down") $(dated)?.focus({ preventScroll: true }); };
  write();
  addEventListener("load", () => requestAnimationFrame(() => { if (document.activeElement === document.body) write(); }));
}

// Whoever passes a question on neither decides nor attests, so the buttons do not say that they do.
function nameButtons() {
  const passes = $(".answer-minor [name=answer]:checked") !== null;
  $$(".answer-form [data-verb]").forEach((button) => {
    button.textContent = passes ? button.dataset.verbPassing : button.dataset.verb;
  });
}
$(".answer-form")?.addEventListener("change", nameButtons);
addEventListener("pageshow", nameButtons);

/* --- drafts save themselves ---------------------------------------------------------------------------------------- */

const WAIT = 700;

function autosave(form) {
  const state = $("[data-autosave-state]", form);
  let timer = 0, running = null, changed = false, over = false;
  const say = (words) => { if (state) state.textContent = words; };

  async function save(keepalive = false) {
    clearTimeout(timer);
    if (!changed || over) return;
    if (running && !keepalive) { await running; }
    changed = false;
    const body = new FormData(form);
    body.set("then", "stay");
    // Larger bodies may not outlive the page; they were sent a moment after they were typed.
    running = fetch(form.dataset.autosave, { method: "POST", body, keepalive, headers: { "X-Requested-With": "fetch" } })
      .then(async (response) => {
        // Read in any case: an answer that nobody reads keeps its connection.
        const words = await response.text();
        if (response.ok && !response.redirected) say("Draft saved");
        else { changed = true; say(response.status < 500 && !response.redirected ? `Not saved: ${words}` : "Not saved yet"); }
      })
      .catch(() => { changed = true; say("Not saved: the server cannot be reached. It is tried again."); timer = setTimeout(save, 5000); })
      .finally(() => { running = null; });
    await running;
  }

  function note(event) {
    if (!event.isTrusted && event.type !== "change") return;
    changed = true;
    say("…");
    clearTimeout(timer);
    timer = setTimeout(save, WAIT);
  }
  form.addEventListener("input", note);
  form.addEventListener("change", note);
  form.addEventListener("submit", () => { over = true; clearTimeout(timer); });
  addEventListener("pageshow", () => { over = false; });
  addEventListener("pagehide", () => save(true));
}
$$("form[data-autosave]").forEach(autosave);

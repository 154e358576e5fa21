/* Comfort on top of pages that already work: every link and form here also does its job without this file. */

const $ = (selector, from = document) => from.querySelector(selector);
const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];

/* --- theme ------------------------------------------------------------------------------------------------------- */

const THEMES = ["system", "light", "dark"];

// One after the other, so that the last choice is what stays, and even when the page is left meanwhile.
let themeSent = Promise.resolve();
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-theme-form]")) return;
  event.preventDefault();
  const button = $("button", form);
  const theme = button.value;
  const following = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  const body = new FormData(form, button);
  themeSent = themeSent.then(() => fetch(form.action, { method: "POST", body, redirect: "manual", keepalive: true })).catch(() => {});
  document.documentElement.dataset.theme = theme;
  for (const each of $$("[data-theme-form] button")) {
    each.value = following;
    each.title = `Theme: ${theme}`;
    each.setAttribute("aria-label", `Theme: ${theme}. Switch to ${following}.`);
  }
});

/* --- toasts ------------------------------------------------------------------------------------------------------ */

const TOAST_SECONDS = 6;

function fade(toast) {
  // Errors stay until somebody has read them; the rest goes when nobody is looking at it any more.
  if (toast.dataset.tone === "danger") return;
  let timer = setTimeout(() => toast.remove(), TOAST_SECONDS * 1000);
  toast.addEventListener("pointerenter", () => clearTimeout(timer));
  toast.addEventListener("focusin", () => clearTimeout(timer));
  toast.addEventListener("pointerleave", () => { timer = setTimeout(() => toast.remove(), 2000); });
}

function showToast(text, tone = "success") {
  const toast = document.createElement("div");
  toast.className = "toast";
  toast.dataset.tone = tone;
  if (tone === "danger") toast.setAttribute("role", "alert");
  const words = document.createElement("p");
  words.textContent = text;
  const close = document.createElement("button");
  close.className = "icon-button";
  close.type = "button";
  close.dataset.dismiss = "";
  close.setAttribute("aria-label", "Dismiss");
  close.textContent = "×";
  toast.append(words, close);
  $("#toasts").append(toast);
}

new MutationObserver((changes) => {
  for (const change of changes) for (const node of change.addedNodes) if (node.matches?.(".toast")) fade(node);
}).observe($("#toasts"), { childList: true });
$$("#toasts .toast").forEach(fade);

document.body.addEventListener("toast", (event) => showToast(event.detail.text ?? event.detail.value, event.detail.tone));
document.body.addEventListener("htmx:sendError", () => showToast("The server cannot be reached. Nothing was changed; try again.", "danger"));
document.body.addEventListener("htmx:responseError", (event) => {
  const status = event.detail.xhr.status;
  showToast(status === 503
    ? "Remit can't answer at the moment. If you were changing something, look whether it was kept."
    : `The server answered with an error (${status}). Nothing was lost; try again.`, "danger");
});

/* --- dialogs, drawer, menus -------------------------------------------------------------------------------------- */

document.addEventListener("click", (event) => {
  const target = event.target;
  const opener = target.closest("[data-open-dialog]");
  if (opener) $(`#${opener.dataset.openDialog}`)?.showModal();
  target.closest("[data-close-dialog]")?.closest("dialog").close();
  target.closest("[data-dismiss]")?.closest(".toast").remove();
  if (target.matches("dialog.drawer")) target.close();
  for (const menu of $$("details[data-menu][open], details.rail-more[open]")) {
    if (!menu.contains(target)) menu.open = false;
  }
});

/* Links with data-drawer fill the drawer (hx-target="#drawer-body"); without script they open the page itself. */
document.body.addEventListener("htmx:afterSwap", (event) => {
  if (event.target.id !== "drawer-body") return;
  const drawer = $("#drawer");
  const title = event.detail.requestConfig.elt?.dataset.drawer || "Details";
  $("#drawer-title").textContent = title;
  if (!drawer.open) drawer.showModal();
});

/* --- confirmation ------------------------------------------------------------------------------------------------ */

let questioned = null;  // what the open question is about

function confirmFirst(source, question, proceed) {
  const dialog = $("#confirm");
  if (!dialog) { proceed(); return; }
  const yes = $("#confirm-yes");
  $("#confirm-question").textContent = question;
  $("#confirm-detail").textContent = source.dataset.confirmDetail ?? "";
  yes.textContent = source.dataset.confirmButton ?? "Continue";
  yes.className = `button ${source.dataset.confirmTone === "danger" ? "button-danger-solid" : "button-primary"}`;
  dialog.returnValue = "";
  questioned = source;
  dialog.addEventListener("close", () => { questioned = null; if (dialog.returnValue === "yes") proceed(); }, { once: true });
  dialog.showModal();
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  const source = event.submitter?.dataset.confirm ? event.submitter : form;
  if (!source.dataset.confirm || form.dataset.confirmed === "yes") return;
  event.preventDefault();
  event.stopImmediatePropagation();
  const submitter = event.submitter;
  confirmFirst(source, source.dataset.confirm, () => {
    form.dataset.confirmed = "yes";
    form.requestSubmit(submitter);
    delete form.dataset.confirmed;
  });
}, true);

document.body.addEventListener("htmx:confirm", (event) => {
  if (!event.detail.question) return;
  event.preventDefault();
  confirmFirst(event.detail.elt, event.detail.question, () => event.detail.issueRequest(true));
});

/* --- submit once ------------------------------------------------------------------------------------------------- */

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post" || form.matches("[hx-post], [data-theme-form]")) return;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "yes";
  event.submitter?.classList.add("is-busy");
});
// A page that comes back from the browser's memory can be sent again.
addEventListener("pageshow", () => $$("form[data-sent]").forEach((form) => {
  delete form.dataset.sent;
  $$(".is-busy", form).forEach((button) => button.classList.remove("is-busy"));
}));

/* --- selecting rows ---------------------------------------------------------------------------------------------- */

function refreshSelection() {
  const boxes = $$("[data-select]");
  const chosen = boxes.filter((box) => box.checked).length;
  for (const count of $$("[data-selected-count]")) count.textContent = chosen;
  for (const bar of $$("[data-bulk-bar]")) bar.hidden = chosen === 0;
  for (const all of $$("[data-select-all]")) {
    all.checked = chosen > 0 && chosen === boxes.length;
    all.indeterminate = chosen > 0 && chosen < boxes.length;
  }
}

let lastBox = null;
document.addEventListener("click", (event) => {
  const box = event.target;
  if (!box.matches?.("[data-select]")) return;
  const boxes = $$("[data-select]");
  if (event.shiftKey && lastBox && boxes.includes(lastBox)) {
    const [from, to] = [boxes.indexOf(lastBox), boxes.indexOf(box)].sort((a, b) => a - b);
    boxes.slice(from, to + 1).forEach((each) => { each.checked = box.checked; });
  }
  lastBox = box;
});
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-select-all]")) {
    $$("[data-select]").forEach((box) => { box.checked = event.target.checked; });
  }
  if (event.target.matches("[data-select], [data-select-all]")) refreshSelection();
  // Filter bars send themselves; their button is there for people without script.
  if (event.target.matches("[data-auto-submit] select")) event.target.form.requestSubmit();
});

/* --- keyboard ---------------------------------------------------------------------------------------------------- */

const isTyping = (element) => element.matches("input:not([type=checkbox], [type=radio]), select, textarea, [contenteditable]");
let prefix = "";

function moveRow(step) {
  const rows = $$("[data-row]");
  if (!rows.length) return;
  const at = rows.findIndex((row) => row.classList.contains("is-current"));
  const next = rows[Math.min(Math.max(at + step, 0), rows.length - 1)];
  rows[at]?.classList.remove("is-current");
  standAt(next);
  next.scrollIntoView({ block: "nearest" });
}

function standAt(row) {
  row.classList.add("is-current");
  row.tabIndex = -1;
  row.focus({ preventScroll: true });
}

const KEYS = {
  "?": () => $("#keys")?.showModal(),
  "/": () => ($("main [data-search]") ?? $("[data-search]"))?.focus(),
  j: () => moveRow(1),
  k: () => moveRow(-1),
  "[": () => $("[data-prev]")?.click(),
  "]": () => $("[data-next]")?.click(),
  x: () => $(".is-current [data-select]")?.click(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || $("dialog[open]")) return;
  if (prefix === "g") {
    prefix = "";
    const place = $(`[data-go="${CSS.escape(event.key)}"]`);
    if (place) { event.preventDefault(); place.click(); }
    return;
  }
  if (event.key === "g") {
    prefix = "g";
    setTimeout(() => { prefix = ""; }, 1200);
    return;
  }
  if (event.key === "Enter" && event.target.matches("[data-row]")) {
    $("[data-open], .cell-main a, a", event.target)?.click();
    return;
  }
  if (event.key === "Escape") {
    $$("details[data-menu][open], details.rail-more[open]").forEach((menu) => { menu.open = false; $("summary", menu).focus(); });
    return;
  }
  // A page may give its own keys to buttons of the current row (or of the page): data-key="a".
  const own = $(`.is-current [data-key="${CSS.escape(event.key)}"]`) ?? $(`main [data-key="${CSS.escape(event.key)}"]:not([data-row] *)`);
  if (own) { event.preventDefault(); own.click(); return; }
  if (KEYS[event.key]) { event.preventDefault(); KEYS[event.key](); }
});

/* --- times and copying ------------------------------------------------------------------------------------------- */

function relative(date, now = Date.now()) {
  const seconds = (date - now) / 1000;
  const distance = Math.abs(seconds);
  if (distance < 45) return seconds > 2 ? "in a moment" : "just now";
  if (distance >= 60 * 86400) return null;
  const text = distance < 3600 ? `${Math.max(1, Math.round(distance / 60))} min`
    : distance < 86400 ? `${Math.round(distance / 3600)} h` : `${Math.round(distance / 86400)} d`;
  return seconds > 0 ? `in ${text}` : `${text} ago`;
}
setInterval(() => {
  for (const time of $$("time[data-relative]")) time.textContent = relative(new Date(time.dateTime)) ?? time.textContent;
}, 30000);

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText($("code", button.closest(".code")).textContent);
  showToast("Copied");
});

/* --- nothing is taken out of anybody's hands ---------------------------------------------------------------------- */

const PRESSABLE = "a[href], button, summary, label, input[type=checkbox], input[type=radio]";
const SLIP_PIXELS = 10, TOUCH_CLICK_MILLISECONDS = 400;
const cornerOf = (place) => { const box = place.getBoundingClientRect(); return `${box.x},${box.y}`; };

let pressed = null;  // what is under the finger or the mouse that is down: where, and what is meant by it
let letting = 0;
addEventListener("pointerdown", ({ target, clientX: x, clientY: y }) => {
  clearTimeout(letting);
  const place = target.closest(PRESSABLE);
  pressed = { target, x, y, place, corner: place && cornerOf(place) };
}, true);
// The click follows: at once from a mouse, in a moment from a finger.
addEventListener("pointerup", ({ pointerType }) => {
  letting = setTimeout(() => { pressed = null; }, pointerType === "mouse" ? 0 : TOUCH_CLICK_MILLISECONDS);
}, true);
addEventListener("pointercancel", () => { pressed = null; }, true);

/* Where the page moved meanwhile, the click still is for what was under the finger, and never for what came there. */
addEventListener("click", (event) => {
  const hand = pressed;
  pressed = null;
  if (!hand || !event.isTrusted || Math.hypot(event.clientX - hand.x, event.clientY - hand.y) > SLIP_PIXELS) return;
  const meant = hand.place ?? hand.target;
  if (meant.contains(event.target) || (!hand.place && event.target.contains(meant))) return;
  if (hand.place?.isConnected && cornerOf(hand.place) === hand.corner) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  if (hand.place?.isConnected) hand.place.click();
}, true);

const renewsItself = (element) => element.getAttribute("hx-trigger")?.startsWith("every");

/* A part that asks for itself every few seconds asks again soon. What is typed asks again when it is done. */
function isInUse(target, request) {
  if (renewsItself(request.elt) && (target.contains(pressed?.target ?? null) || target.contains(questioned))) return true;
  const field = document.activeElement;
  return target.contains(field) && isTyping(field) && field.value !== request.formData?.get(field.name);
}

// What a place on the page is called, so that it is found again in what took its place.
const nameOf = (place) => [place.tagName, place.name, place.value, place.form?.getAttribute("action"), ($("a", place) ?? place).getAttribute("href")].join();

let standing = null;
document.body.addEventListener("htmx:beforeSwap", (event) => {
  const { target, requestConfig } = event.detail;
  if (isInUse(target, requestConfig)) { event.detail.shouldSwap = false; return; }
  standing = renewsItself(requestConfig.elt) && target.contains(document.activeElement) ? nameOf(document.activeElement) : null;
});
document.body.addEventListener("htmx:afterSwap", (event) => {
  if (standing === null || document.activeElement !== document.body) return;
  const place = $$("a, button, summary, [data-row]", event.target).find((each) => nameOf(each) === standing);
  if (place?.matches("[data-row]")) standAt(place); else place?.focus({ preventScroll: true });
});

/* --- what somebody has opened stays open ------------------------------------------------------------------------- */

let opened = [];
document.body.addEventListener("htmx:beforeSwap", (event) => {
  opened = $$("details[open][id]", event.detail.target).map((each) => each.id);
});
document.body.addEventListener("htmx:afterSwap", () => {
  for (const id of opened) { const each = document.getElementById(id); if (each) each.open = true; }
});

/* --- after every swap -------------------------------------------------------------------------------------------- */

function prepare() {
  refreshSelection();
  if (navigator.clipboard) $$("[data-copy][hidden]").forEach((button) => { button.hidden = false; });
}
document.body.addEventListener("htmx:afterSettle", prepare);
prepare();

// On every page: live parts, keys, bulk selection, the log, uploads. A page works without it.
import { followLog } from "./log";
import { keepConnected } from "./live";
import { newContainer } from "./new-container";
import { followOperations } from "./operations";
import { upload } from "./upload";

/** Fetches this page's live part again and puts it in place, unless the reader is in the middle of it. */
async function refresh(part: HTMLElement): Promise<void> {
  const url = new URL(location.href);
  url.searchParams.set("part", part.id);
  const answer = await fetch(url, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const chosen = new Set([...part.querySelectorAll<HTMLInputElement>("input:checked")].map((box) => box.value));
  const focused = document.activeElement;
  if (focused instanceof HTMLInputElement && focused.type !== "checkbox" && part.contains(focused)) return;
  // The server's own page, escaped by its templates; parsed apart so that nothing in it runs.
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  part.replaceChildren(...fresh.body.childNodes);
  for (const box of part.querySelectorAll<HTMLInputElement>("input[type=checkbox]")) box.checked = chosen.has(box.value);
  countSelected();
}

function liveParts(): void {
  const parts = [...document.querySelectorAll<HTMLElement>("[data-live][id=live]")];
  const mark = document.getElementById("live-mark");
  if (parts.length === 0 || !mark) return;
  const off = mark.textContent ?? "";
  let waiting = false;
  // Many events in one second cost one fetch.
  const soon = () => {
    if (waiting || document.hidden) { missed = document.hidden || missed; return; }
    waiting = true;
    setTimeout(() => { waiting = false; void Promise.all(parts.map(refresh)); }, 900);
  };
  let missed = false;
  document.addEventListener("stale", soon);
  document.addEventListener("visibilitychange", () => { if (!document.hidden && missed) { missed = false; soon(); } });
  keepConnected("/live/events", () => ({}), { text: soon, open: () => undefined }, (on) => {
    mark.hidden = false;
    mark.toggleAttribute("data-on", on);
    mark.textContent = on ? (mark.dataset.liveText ?? "") : off;
  });
  // Figures move without events.
  const still = ["images", "image", "volumes", "operation"];
  if (parts.some((part) => !still.includes(part.dataset.live ?? ""))) setInterval(soon, 5000);
}

function countSelected(): void {
  const bar = document.querySelector<HTMLElement>("[data-bulk]");
  if (!bar) return;
  const number = document.querySelectorAll("#bulk input[name=id]:checked").length;
  bar.hidden = number === 0;
  const label = bar.querySelector<HTMLElement>("[data-bulk-count]");
  if (label) label.textContent = `${number} ${label.dataset.bulkCount}`;
}

function keys(): void {
  const places: Record<string, string> = { o: "/", c: "/containers", i: "/images", v: "/volumes", r: "/registry", t: "/team" };
  let go = false;
  document.addEventListener("keydown", (event) => {
    const target = event.target as HTMLElement;
    if (event.metaKey || event.ctrlKey || event.altKey || target.closest("input, textarea, select, .terminal-frame, dialog")) return;
    if (go && places[event.key]) { location.href = places[event.key]!; return; }
    go = event.key === "g";
    if (go) setTimeout(() => { go = false; }, 1500);
    if (event.key === "/") {
      const field = document.querySelector<HTMLInputElement>("[data-key='/']");
      if (field) { event.preventDefault(); field.focus(); }
    }
    if (event.key === "j" || event.key === "k") moveCursor(event.key === "j" ? 1 : -1);
    if (event.key === "Enter") document.querySelector<HTMLAnchorElement>("tr.cursor a")?.click();
  });
}

function moveCursor(step: number): void {
  const rows = [...document.querySelectorAll<HTMLTableRowElement>("#live table.list tbody tr")];
  const now = rows.findIndex((row) => row.classList.contains("cursor"));
  rows[now]?.classList.remove("cursor");
  const next = rows[Math.max(0, Math.min(rows.length - 1, now + step))];
  next?.classList.add("cursor");
  next?.scrollIntoView({ block: "nearest" });
}

export function toast(text: string, tone = ""): void {
  const box = document.createElement("div");
  box.className = `toast ${tone}`;
  box.textContent = text;
  document.getElementById("toasts")?.append(box);
  if (tone !== "bad") setTimeout(() => box.remove(), 6000);
  else box.addEventListener("click", () => box.remove());
}

/** Shows what copies a command where the browser lets a page do so; the command can be selected anyway. */
function copies(): void {
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll<HTMLButtonElement>("button[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      void navigator.clipboard.writeText(button.dataset.copy ?? "").then(() => toast(button.dataset.copied ?? ""));
    });
  }
}

liveParts();
keys();
copies();
document.addEventListener("change", countSelected);
followLog(document.querySelector<HTMLElement>("[data-log]"));
upload(document.querySelector<HTMLFormElement>("[data-upload]"), (text) => toast(text, "bad"));
followOperations();
newContainer(document.querySelector<HTMLFormElement>("[data-new-container]"));

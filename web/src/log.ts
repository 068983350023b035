// The log of one container: opens at its end, follows, stops following when the reader scrolls up, and never holds more
// than MOST lines however long the log is.
import { keepConnected } from "./live";

const MOST = 5000;

interface Line { at_ns: number | string; stream: string; text: string; }

/** SGR colours are taken off, other control characters shown as they are named; the text stays text. */
function plain(text: string): string {
  return text.replace(/\u001b\[[0-9;?]*[ -/]*[@-~]/g, "").replace(/\u001b\][^\u0007\u001b]*(\u0007|\u001b\\)/g, "").replace(/[\r\u0000-\u0008\u000b-\u001f]/g, "");
}

function element(line: Line): HTMLElement {
  const row = document.createElement("div");
  row.className = `line ${line.stream}`;
  const time = document.createElement("time");
  const milliseconds = Number(BigInt(line.at_ns) / 1_000_000n);
  time.dateTime = new Date(milliseconds).toISOString();
  time.textContent = time.dateTime.replace("T", " ").slice(0, 19);
  const text = document.createElement("span");
  text.className = "text";
  text.textContent = plain(line.text);
  row.append(time, text);
  return row;
}

export function followLog(box: HTMLElement | null): void {
  if (!box) return;
  const lines = box.querySelector<HTMLElement>(".lines")!;
  const state = box.querySelector<HTMLElement>("[data-log-state]")!;
  const end = box.querySelector<HTMLButtonElement>("[data-log-end]")!;
  const wanted = box.dataset.text ?? "";
  let following = true, unseen = 0, last = BigInt(box.dataset.from || "0");
  for (const text of lines.querySelectorAll<HTMLElement>(".text")) text.textContent = plain(text.textContent ?? "");

  const show = () => {
    state.textContent = (following ? state.dataset.following : state.dataset.paused) ?? "";
    end.hidden = following || unseen === 0;
    end.textContent = `${unseen} ${end.dataset.new}`;
  };
  const toEnd = () => { following = true; unseen = 0; lines.scrollTop = lines.scrollHeight; show(); };
  lines.addEventListener("scroll", () => {
    const atEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 24;
    if (atEnd !== following) { following = atEnd; if (atEnd) unseen = 0; show(); }
  });
  end.addEventListener("click", toEnd);
  lines.addEventListener("keydown", (event) => { if (event.key === "End") toEnd(); });

  let pending: Line[] = [];
  const flush = () => {
    const fresh = pending.filter((line) => wanted === "" || line.text.includes(wanted));
    pending = [];
    lines.append(...fresh.slice(-MOST).map(element));
    while (lines.childElementCount > MOST) lines.firstElementChild!.remove();
    if (following) lines.scrollTop = lines.scrollHeight;
    else unseen += fresh.length;
    show();
  };
  const parameters = () => ({ stdout: box.dataset.stdout ?? "true", stderr: box.dataset.stderr ?? "true", since_ns: String(last + 1n) });
  keepConnected(`/live/containers/${box.dataset.log}/logs`, parameters, {
    text: (text) => {
      const line = JSON.parse(text) as Line;
      last = BigInt(line.at_ns);
      if (pending.push(line) === 1) requestAnimationFrame(flush);
    },
  }, (on) => { if (!on) state.textContent = state.dataset.ended ?? ""; else show(); });
  toEnd();
}

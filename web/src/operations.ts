// How far pulls and pushes are: figures are put into what the server rendered; what it did not render yet is asked for.
import { keepConnected } from "./live";

interface Layer { id: string; state: "waiting" | "exists" | "moving" | "done"; current_bytes: number; total_bytes: number }
interface Operation { id: number; state: string; layers: Layer[] }

/** As the server says sizes: powers of ten. */
function disk(bytes: number): string {
  if (bytes < 1e3) return `${bytes} B`;
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(0)} kB`;
  if (bytes < 1e9) return `${(bytes / 1e6).toFixed(1)} MB`;
  return `${(bytes / 1e9).toFixed(2)} GB`;
}

function fill(place: Element, current: number, total: number, whole: boolean): void {
  const percent = whole ? 100 : total > 0 ? Math.min(100, (current / total) * 100) : 0;
  place.querySelector("rect.used")?.setAttribute("width", `${percent.toFixed(1)}%`);
  place.querySelector("svg")?.setAttribute("aria-label", `${percent.toFixed(0)}%`);
  const amount = place.querySelector("[data-amount]");
  if (amount) amount.textContent = total > 0 ? `${disk(current)} / ${disk(total)}` : "";
}

/** Puts it in place; false: the page does not show it as it is. */
function put(box: HTMLElement, operation: Operation): boolean {
  const section = box.querySelector<HTMLElement>(`[data-operation="${operation.id}"]`);
  if (!section || section.dataset.state !== operation.state) return false;
  const words = section.querySelector<HTMLElement>("[data-waiting]")?.dataset ?? {};
  let current = 0, total = 0;
  for (const layer of operation.layers) {
    const row = section.querySelector(`[data-layer="${CSS.escape(layer.id)}"]`);
    if (!row) return false;
    current += Math.min(layer.current_bytes, layer.total_bytes);
    total += layer.total_bytes;
    fill(row, layer.current_bytes, layer.total_bytes, layer.state === "exists" || layer.state === "done");
    const word = row.querySelector("[data-word]");
    if (word) word.textContent = words[layer.state] ?? layer.state;
  }
  const all = section.querySelector("[data-total]");
  if (all) fill(all, current, total, false);
  return true;
}

export function followOperations(): void {
  const box = document.querySelector<HTMLElement>("[data-operations]");
  if (!box) return;
  const only = box.dataset.operations;
  const renew = () => document.dispatchEvent(new Event("stale"));
  keepConnected("/live/operations", () => ({}), {
    // It may have ended between the page and the socket.
    open: renew,
    text: (text) => {
      const operation = JSON.parse(text) as Operation;
      if (only && only !== String(operation.id)) return;
      if (!put(box, operation)) renew();
    },
  }, () => undefined);
}

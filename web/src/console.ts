// A terminal into the container: keys go as binary frames, the size as JSON text, output comes as binary frames.
import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import { connect, type Live } from "./live";

const form = document.querySelector<HTMLFormElement>("[data-console]");
const place = document.querySelector<HTMLElement>("[data-terminal]");

if (form && place) {
  const state = form.querySelector<HTMLElement>("[data-console-state]")!;
  const terminal = new Terminal({
    fontSize: 13, scrollback: 5000, cursorBlink: false,
    fontFamily: "ui-monospace, Menlo, Consolas, monospace",
    theme: { background: "#0b0f11", foreground: "#dfe6e8", cursor: "#dfe6e8" },
  });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(place);
  fit.fit();
  let live: Live | undefined;
  const size = () => live?.send(JSON.stringify({ resize: { rows: terminal.rows, columns: terminal.cols } }));
  new ResizeObserver(() => fit.fit()).observe(place);
  terminal.onResize(size);
  terminal.onData((text) => live?.send(new TextEncoder().encode(text).buffer));

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    live?.close();
    terminal.reset();
    const data = new FormData(form);
    const parameters: Record<string, string> = { rows: String(terminal.rows), columns: String(terminal.cols) };
    for (const name of ["command", "user"]) if (data.get(name)) parameters[name] = String(data.get(name));
    connect(`/live/containers/${form.dataset.console}/console`, parameters, {
      open: () => { state.textContent = ""; size(); terminal.focus(); },
      bytes: (bytes) => terminal.write(bytes),
      text: (text) => { state.textContent = text; },
      closed: (reason) => { state.textContent = reason || (form.dataset.closed ?? ""); live = undefined; },
    }).then((opened) => { live = opened; }, () => { state.textContent = form.dataset.failed ?? ""; });
  });
}

// Websockets of the server: a ticket (one use, 30 s) is fetched with the session's cookie, then the socket is opened.

export interface Live {
  send(data: string | ArrayBufferLike): void;
  close(): void;
}

export interface Handlers {
  text?(text: string): void;
  bytes?(bytes: Uint8Array): void;
  open?(): void;
  /** Called once, when the socket is gone for good. */
  closed?(reason: string): void;
}

async function ticket(): Promise<string> {
  const answer = await fetch("/live/tickets", {
    method: "POST",
    headers: { "X-CSRF-Token": document.body.dataset.csrf ?? "" },
  });
  if (!answer.ok) throw new Error(`${answer.status}`);
  return ((await answer.json()) as { ticket: string }).ticket;
}

/** Opens `path` with the query `parameters`; `closed` is called when it could not be opened or has ended. */
export async function connect(path: string, parameters: Record<string, string>, handlers: Handlers): Promise<Live> {
  const query = new URLSearchParams({ ...parameters, ticket: await ticket() });
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}${path}?${query}`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => handlers.open?.();
  socket.onmessage = (message) => {
    if (typeof message.data === "string") handlers.text?.(message.data);
    else handlers.bytes?.(new Uint8Array(message.data as ArrayBuffer));
  };
  socket.onclose = (event) => handlers.closed?.(event.reason);
  return { send: (data) => socket.readyState === WebSocket.OPEN && socket.send(data), close: () => socket.close() };
}

/** Opens it and opens it again with growing pauses; `onState` tells whether it is open. */
export function keepConnected(path: string, parameters: () => Record<string, string>, handlers: Handlers, onState: (on: boolean) => void): void {
  let pause = 1000;
  const again = () => {
    onState(false);
    setTimeout(open, pause);
    pause = Math.min(pause * 2, 30_000);
  };
  const open = () => {
    connect(path, parameters(), {
      ...handlers,
      open: () => { pause = 1000; onState(true); handlers.open?.(); },
      closed: again,
    }).catch(again);
  };
  open();
}

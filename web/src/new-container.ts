// Keeps the docker command beside the form the same as the form.
const quote = (text: string) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

export function newContainer(form: HTMLFormElement | null): void {
  const shown = form?.querySelector<HTMLElement>("[data-command]");
  if (!form || !shown) return;
  const update = () => {
    const data = new FormData(form);
    const text = (name: string) => String(data.get(name) ?? "").trim();
    const lines = (name: string) => text(name).split("\n").map((line) => line.trim()).filter(Boolean);
    const words = ["docker", "run", data.get("tty") ? "-dit" : "-d"];
    const option = (flag: string, value: string) => { if (value) words.push(flag, quote(value)); };
    option("--name", text("name"));
    if (text("network") !== "bridge") option("--network", text("network"));
    for (const port of lines("ports")) option("-p", port);
    for (const volume of lines("volumes")) option("-v", volume);
    for (const variable of lines("environment")) option("-e", variable);
    option("--memory", text("memory"));
    option("--cpus", text("cpus"));
    if (text("restart") !== "no") option("--restart", text("restart"));
    words.push(quote(text("image") || "IMAGE"));
    if (text("command")) words.push(text("command"));
    shown.textContent = words.join(" ");
  };
  form.addEventListener("input", update);
  update();
}

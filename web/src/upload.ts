// An archive is sent as it is, with its progress. Without a script the form stays hidden and a sentence names docker load.
export function upload(form: HTMLFormElement | null, failed: (text: string) => void): void {
  if (!form) return;
  form.hidden = false;
  const progress = form.querySelector("progress")!;
  form.addEventListener("submit", (event) => {
    const file = form.querySelector<HTMLInputElement>("input[type=file]")?.files?.[0];
    if (!file) return;
    event.preventDefault();
    const request = new XMLHttpRequest();
    request.open("POST", "/api/v1/images");
    request.setRequestHeader("Content-Type", "application/x-tar");
    request.setRequestHeader("X-CSRF-Token", document.body.dataset.csrf ?? "");
    request.upload.onprogress = (step) => { progress.hidden = false; progress.value = (step.loaded / Math.max(step.total, 1)) * 100; };
    request.onload = () => {
      progress.hidden = true;
      if (request.status < 300) { location.reload(); return; }
      let detail = "";
      try { detail = (JSON.parse(request.responseText) as { detail?: string }).detail ?? ""; } catch { detail = `${request.status}`; }
      failed(`${form.dataset.failed} ${detail}`);
    };
    request.onerror = () => { progress.hidden = true; failed(form.dataset.failed ?? ""); };
    request.send(file);
  });
}

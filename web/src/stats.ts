// Four charts of one container, a point a second; the limit is a dashed line, gaps stay gaps.
import uPlot from "uplot";
import { keepConnected } from "./live";

interface Sample {
  at_ns: number; cpu_percent: number; memory_bytes: number; memory_limit_bytes: number;
  received_bytes: number; sent_bytes: number; block_read_bytes: number; block_write_bytes: number;
}

const MOST = 600;
const box = document.querySelector<HTMLElement>("[data-charts]");
const colour = (name: string) => {
  // light-dark() is resolved by the browser on a real property.
  const probe = document.createElement("span");
  probe.className = `probe-${name}`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
};

function chart(place: HTMLElement, names: string[]): uPlot {
  const text = colour("text3"), line = colour("line"), accent = colour("accent"), idle = colour("idle");
  const axis = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: "11px system-ui" };
  const series = names.map((label, index) => ({
    label, stroke: index === 0 ? accent : idle, width: 1.5, points: { show: false },
    ...(names.length === 2 && label === "" ? { dash: [4, 3] } : {}),
  }));
  const plot = new uPlot({
    width: place.clientWidth || 320, height: 200, cursor: { sync: { key: "stats" } }, legend: { live: true },
    scales: { y: { range: (_self, _low, high) => [0, Math.max(high * 1.1, 1)] } },
    axes: [axis, { ...axis, size: 48 }], series: [{}, ...series],
  }, [[], ...names.map(() => [])] as uPlot.AlignedData, place);
  new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height: 200 })).observe(place);
  return plot;
}

if (box) {
  box.hidden = false;
  const word = (name: string) => box.dataset[name] ?? name;
  const at = (name: string) => box.querySelector<HTMLElement>(`[data-chart=${name}]`)!;
  const plots = [chart(at("cpu"), [word("cpu")]), chart(at("memory"), [word("memory")]), chart(at("network"), [word("received"), word("sent")]), chart(at("disk"), [word("read"), word("written")])];
  const data: (number | null)[][][] = [[[], []], [[], []], [[], [], []], [[], [], []]];
  let before: Sample | undefined;
  const rate = (now: number, then: number, seconds: number) => (seconds > 0 ? Math.max(0, now - then) / seconds / 1000 : 0);
  keepConnected(`/live/containers/${box.dataset.charts}/stats`, () => ({}), {
    text: (text) => {
      const sample = JSON.parse(text) as Sample;
      const time = sample.at_ns / 1e9;
      const seconds = before ? time - before.at_ns / 1e9 : 0;
      const old = before ?? sample;
      const rows = [
        [sample.cpu_percent], [sample.memory_bytes / 1048576],
        [rate(sample.received_bytes, old.received_bytes, seconds), rate(sample.sent_bytes, old.sent_bytes, seconds)],
        [rate(sample.block_read_bytes, old.block_read_bytes, seconds), rate(sample.block_write_bytes, old.block_write_bytes, seconds)],
      ];
      before = sample;
      rows.forEach((row, index) => {
        [time, ...row].forEach((value, column) => {
          const list = data[index]![column]!;
          list.push(value);
          if (list.length > MOST) list.shift();
        });
        plots[index]!.setData(data[index] as uPlot.AlignedData);
      });
    },
  }, () => undefined);
}

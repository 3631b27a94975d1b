"use strict";
// Everything here enhances a page that is whole without it: sort, filter, samples, downloads.

async function unpacked(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

function download(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// A cell that a spreadsheet would take for a formula becomes text.
function cell(value) {
  const formula = /^\s*[=+@\uff1d\uff0b\uff20]|^\s*[-\uff0d](?![\d.,]+( \S+)?$)|^[\t\r\n]/;
  const text = formula.test(value) ? "'" + value : value;
  return /[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
}

function csv(table) {
  const titles = [...table.querySelectorAll("thead th")].map((th) => th.textContent);
  const api = DataTable.isDataTable(table) ? new DataTable.Api(table) : null;
  const rows = api ? api.rows({ search: "applied", order: "applied" }).nodes().toArray()
    : [...table.tBodies[0].rows];
  const lines = rows.map((row) => [...row.cells].map((td) => td.textContent));
  return [titles, ...lines].map((line) => line.map(cell).join(",")).join("\r\n") + "\r\n";
}

function duration(seconds) {
  for (const [unit, size] of [["s", 1], ["ms", 1e-3], ["us", 1e-6]])
    if (seconds >= size) return (seconds / size).toPrecision(3) + " " + unit;
  return (seconds / 1e-9).toPrecision(3) + " ns";
}

// The blocks of each process as dots on one axis of time, and their medians as strokes.
function drawing(processes) {
  const make = (name, attributes, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const all = processes.flatMap(([, repetitions]) => repetitions.flat()).map((ns) => ns / 1e9);
  const low = Math.min(...all), high = Math.max(...all), room = (high - low || low) * 0.04;
  const x = (seconds) => 90 + 560 * (seconds - low + room) / (high - low + 2 * room);
  const height = 22 * processes.length + 26;
  const svg = make("svg", { class: "samples", viewBox: `0 0 700 ${height}`, role: "img" });
  processes.forEach(([value, repetitions], number) => {
    const y = 16 + 22 * number;
    svg.append(make("text", { x: 0, y: y + 4 }, `process ${number + 1}`));
    const middle = (repetitions.length - 1) / 2;
    repetitions.forEach((blocks, index) => blocks.forEach((ns) => svg.append(
      make("circle", { cx: x(ns / 1e9), cy: y + 4 * (index - middle), r: 2.4,
        fill: "#0072B2", "fill-opacity": 0.55 }))));
    if (value === null) return; // none of its blocks counts
    const place = x(value / 1e9);
    svg.append(make("line", { x1: place, x2: place, y1: y - 9, y2: y + 9, stroke: "#D55E00",
      "stroke-width": 2 }));
  });
  svg.append(make("text", { x: x(low), y: height - 4, "text-anchor": "middle" }, duration(low)));
  svg.append(make("text", { x: x(high), y: height - 4, "text-anchor": "middle" }, duration(high)));
  const box = document.createElement("div");
  const words = document.createElement("p");
  words.className = "dim";
  words.textContent = `${all.length} blocks in ${processes.length} processes; the stroke is the ` +
    "value of the process: the longest of the least disturbed tenth of its repetitions.";
  box.append(svg, words);
  return box;
}

let samples = null;
async function open(table, row) {
  const api = new DataTable.Api(table).row(row);
  if (api.child.isShown()) return api.child.hide();
  samples ??= JSON.parse(await unpacked(document.getElementById("samples").textContent));
  return api.child(drawing(samples[row.dataset.samples])).show();
}

for (const tools of document.querySelectorAll(".tools[data-table]")) {
  const table = document.getElementById(tools.dataset.table);
  const api = new DataTable(table, { paging: false, info: false, order: [], autoWidth: false,
    layout: { topStart: null, topEnd: null, bottomStart: null, bottomEnd: null } });
  if (table.tBodies[0].rows.length > 5) {
    const input = document.createElement("input");
    input.className = "filter";
    input.placeholder = "filter: words, e.g. jax 512";
    input.setAttribute("aria-label", "filter the table");
    input.addEventListener("input", () => api.search(input.value).draw());
    tools.append(input);
  }
  const button = document.createElement("button");
  button.textContent = "CSV";
  button.title = "download what the table shows";
  button.addEventListener("click", () =>
    download(table.id.replace("table-", "") + ".csv", new Blob([csv(table)], { type: "text/csv" })));
  tools.append(button);
  table.addEventListener("click", (event) => {
    const row = event.target.closest("tr.opens");
    if (row) open(table, row);
  });
  for (const row of table.querySelectorAll("tr.opens")) {
    row.tabIndex = 0;
    row.addEventListener("keydown", (event) => { if (event.key === "Enter") open(table, row); });
  }
}

for (const figure of document.querySelectorAll("figure[id]")) {
  const tools = document.createElement("div");
  tools.className = "tools";
  const add = (title, content) => {
    const button = document.createElement("button");
    button.textContent = title;
    button.addEventListener("click", async () =>
      download(`${figure.id}.${title.toLowerCase()}`, await content()));
    tools.append(button);
  };
  const packed = (kind) => figure.querySelector(`script.${kind}`).textContent;
  add("PNG", async () => {
    const data = figure.querySelector("img").src.split(",")[1];
    return new Blob([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], { type: "image/png" });
  });
  add("SVG", async () => new Blob([await unpacked(packed("svg"))], { type: "image/svg+xml" }));
  add("CSV", async () => new Blob([await unpacked(packed("csv"))], { type: "text/csv" }));
  figure.append(tools);
}

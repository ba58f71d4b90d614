"use strict";
// The values under the pointer, for every chart.
for (const svg of document.querySelectorAll("svg.chart")) {
  const lines = [...svg.querySelectorAll("g.line")].map((group) => ({
    name: group.dataset.name,
    points: [...group.querySelectorAll("polyline")].flatMap((line) => {
      const read = line.dataset.read.split(";");
      return line.getAttribute("points").trim().split(" ").map((pair, index) => {
        const [x, y] = pair.split(",").map(Number);
        const [step, epoch, value] = read[index].split("|");
        return { x, y, step, epoch, value };
      });
    }),
  })).filter((line) => line.points.length);
  const pointer = svg.querySelector("g.pointer");
  const readout = svg.closest("figure")?.querySelector(".readout");
  if (!lines.length || !pointer || !readout) continue;
  const nearest = (points, x) => points.reduce((best, p) => (Math.abs(p.x - x) < Math.abs(best.x - x) ? p : best));
  const add = (name, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    pointer.append(element);
  };
  const rest = readout.textContent;
  const clear = () => { pointer.replaceChildren(); readout.textContent = rest; };
  svg.addEventListener("pointerleave", clear);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const x = (event.clientX - box.left) * svg.viewBox.baseVal.width / box.width;
    const anchor = nearest(lines.flatMap((line) => line.points), x);
    clear();
    add("line", { x1: anchor.x, x2: anchor.x, y1: 22, y2: svg.viewBox.baseVal.height - 28 });
    const values = lines.map((line) => {
      const point = nearest(line.points, anchor.x);
      add("circle", { cx: point.x, cy: point.y, r: 3.5 });
      return line.name + " " + point.value + (point.step === anchor.step ? "" : " (step " + point.step + ")");
    });
    const marks = [...svg.querySelectorAll("g.mark")].filter((mark) => Math.abs(mark.dataset.x - x) < 9);
    const decided = marks.map((mark) => "decision " + mark.querySelector("text").textContent);
    readout.textContent = ["step " + anchor.step, "epoch " + anchor.epoch, ...values, ...decided].join("  ·  ");
  });
}
// Tables that sort by the column clicked at.
for (const table of document.querySelectorAll("table[data-sortable]")) {
  const body = table.tBodies[0];
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.ariaSort === "ascending";
      for (const other of table.querySelectorAll("thead th")) other.ariaSort = null;
      head.ariaSort = down ? "descending" : "ascending";
      const key = (row) => row.cells[column].textContent.replaceAll("\u202f", "");
      const order = (a, b) => key(a).localeCompare(key(b), "en", { numeric: true });
      body.append(...[...body.rows].sort((a, b) => (down ? order(b, a) : order(a, b))));
    });
  });
}

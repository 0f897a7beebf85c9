// What every page has: charts of two geometries, their pairs, and tables that sort.
// All numbers are those of #charts.
const data = JSON.parse(document.getElementById("charts").textContent);
const byId = (id) => document.getElementById(id);
const readable = (name) => name.replaceAll("_", " ");
const short = (name) => readable(name).length > 24 ? `${readable(name).slice(0, 11)}…${readable(name).slice(-11)}` : readable(name);
const digits = (x) => x === null ? "not computed" : Math.abs(x) < 1e-3 && x !== 0 ? x.toExponential(2) : x.toPrecision(4);
const narrow = () => window.innerWidth < 640;
const isLink = (event) => event.key === "Enter" || event.key === " ";

// Two geometries

const memoized = (f) => {
  const known = new Map();
  return (key) => { if (!known.has(key)) known.set(key, f(key)); return known.get(key); };
};
const pairsOf = memoized((n) => {
  const pairs = [];
  for (let i = 0; i < n; i++) for (let j = i + 1; j < n; j++) pairs.push([i, j]);
  return pairs;
});
const placeOf = (n, i, j) => { if (i > j) [i, j] = [j, i]; return i * n - i * (i + 1) / 2 + j - i - 1; };

// Mid-ranks, 1 the nearest.
const ranked = (values) => {
  const order = values.map((_, k) => k).sort((a, b) => values[a] - values[b]);
  const ranks = new Array(values.length);
  for (let start = 0; start < order.length;) {
    let end = start;
    while (end < order.length && values[order[end]] === values[order[start]]) end++;
    for (let k = start; k < end; k++) ranks[order[k]] = (start + 1 + end) / 2;
    start = end;
  }
  return ranks;
};
const ranksOf = memoized(ranked);
const geometry = (values, title, unit) => {
  const ranks = ranksOf(values);
  return { values, ranks, shares: ranks.map((r) => 100 * (r - 0.5) / ranks.length), title, unit };
};
const correlation = (a, b) => {
  const mean = (x) => x.reduce((s, v) => s + v, 0) / x.length;
  const [ma, mb] = [mean(a), mean(b)];
  let ab = 0, aa = 0, bb = 0;
  a.forEach((v, k) => { ab += (v - ma) * (b[k] - mb); aa += (v - ma) ** 2; bb += (b[k] - mb) ** 2; });
  return aa && bb ? ab / Math.sqrt(aa * bb) : null;
};

// What the charts show: `names` of the personas, their `order`, `clusters` and `colors`, the
// geometries `left` and `right`, the words of their difference (`gap`), pairs to ring in the
// scatter (`decoupled`, `predicted`), and what is done with a pair that is chosen (`choose`).
let shown = null;
const pairs = () => pairsOf(shown.names.length);
const place = (i, j) => placeOf(shown.names.length, i, j);
const large = () => shown.names.length > 60;
const label = ([i, j]) => `${readable(shown.names[i])} – ${readable(shown.names[j])}`;
const toldBy = (of, k) => `${of.title} = ${digits(of.values[k])}${of.unit ? ` ${of.unit}` : ""} (rank ${of.ranks[k]} of ${of.ranks.length})`;
const said = (k) => `${label(pairs()[k])}: ${toldBy(shown.left, k)}, ${toldBy(shown.right, k)}`;
const hover = (k) => [label(pairs()[k]), toldBy(shown.left, k), toldBy(shown.right, k)].join("<br>");
const choose = (k, jump) => shown.choose(...pairs()[k], jump);

const fill = (id, entries, chosen) => {
  const select = byId(id);
  select.replaceChildren(...entries.map(([value, text]) => new Option(text, value, value === chosen, value === chosen)));
  return select;
};
const [scale, order] = [byId("scale"), byId("order")];
document.querySelectorAll("form.controls").forEach((form) => form.addEventListener("submit", (event) => event.preventDefault()));

// Charts

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const look = (more) => ({
  paper_bgcolor: color("paper"), plot_bgcolor: color("paper"), dragmode: false, showlegend: false,
  font: { family: "system-ui, 'DejaVu Sans', sans-serif", size: 12, color: color("ink") },
  margin: { l: 8, r: 8, t: 34, b: 8 }, hoverlabel: { align: "left" }, ...more,
});
const OPTIONS = { displayModeBar: false, responsive: true, doubleClick: false };
const axis = (title, more) => ({ title: { text: title }, gridcolor: color("line"), zerolinecolor: color("soft"), linecolor: color("soft"), automargin: true, fixedrange: true, ...more });
const isPair = (at) => at.customdata !== undefined && at.customdata !== null;
const drawn = {};
const draw = (id, traces, layout) => {
  const first = !drawn[id];
  drawn[id] = Plotly.react(byId(id), traces, layout, OPTIONS).then(() => {
    if (!first) return;
    byId(id).on("plotly_click", ({ points: [at] }) => { if (isPair(at)) choose(at.customdata); });
    byId(id).on("plotly_hover", ({ points: [at] }) => { if (isPair(at)) point(at.customdata); });
  });
};
const point = (k) => { byId("pointed").textContent = k === null ? "" : `${said(k)}.`; };

const drawKey = () => {
  const { names, clusters, colors } = shown;
  const known = [...new Set(names.map((name) => clusters[name]).filter(Boolean))], what = document.createElement("li");
  what.append("Strips beside the panels are clusters:");
  byId("key").replaceChildren(...(known.length ? [what] : []), ...known.map((cluster) => {
    const entry = document.createElement("li"), patch = document.createElement("span");
    patch.style.background = colors[names.find((name) => clusters[name] === cluster)];
    entry.append(patch, readable(cluster));
    return entry;
  }));
};

const arranged = () => order.value === "near" ? shown.order : shown.names.map((_, i) => i).sort((a, b) => shown.names[a] < shown.names[b] ? -1 : 1);
const heatmap = (side, title, values, more) => {
  const { names, colors } = shown, id = `heatmap-${side}`, rows = arranged();
  byId(`title-${side}`).textContent = title;
  const z = rows.map((i) => rows.map((j) => i === j ? null : values[place(i, j)]));
  const at = rows.map((i) => rows.map((j) => i === j ? null : place(i, j)));
  const text = large() ? undefined : at.map((row) => row.map((k) => k === null ? "" : hover(k)));
  const size = large() ? 0 : Math.max(6, Math.min(11, (narrow() ? 150 : 210) / names.length));
  const ticks = size ? { tickvals: rows.map((_, r) => r), ticktext: rows.map((i) => short(names[i])), tickfont: { size } } : { showticklabels: false, ticks: "" };
  const starts = rows.map((_, r) => r).filter((r) => r === 0 || colors[names[rows[r]]] !== colors[names[rows[r - 1]]]);
  const strip = starts.flatMap((r, k) => {
    const fillcolor = colors[names[rows[r]]], [from, to] = [r - 0.5, (starts[k + 1] ?? rows.length) - 0.5];
    return fillcolor ? [
      { type: "rect", xref: "x", yref: "paper", x0: from, x1: to, y0: 1.005, y1: 1.025, fillcolor, line: { width: 0 } },
      { type: "rect", xref: "paper", yref: "y", y0: from, y1: to, x0: 1.005, x1: 1.025, fillcolor, line: { width: 0 } },
    ] : [];
  });
  draw(id, [{ type: "heatmap", z, text, customdata: at, hoverinfo: large() ? "none" : "text", hoverongaps: false, colorbar: { orientation: "h", thickness: 9, len: 0.9, x: 1, xanchor: "right", xpad: 0, y: -0.02, yanchor: "top", ypad: 0, tickfont: { size: 9 }, outlinewidth: 0, ...(size ? { y: 1.04, yanchor: "bottom" } : {}) }, ...more }],
    look({ margin: { l: 4, r: 12, t: 46, b: 4 }, shapes: strip,
      xaxis: { automargin: true, fixedrange: true, showgrid: false, zeroline: false, tickangle: 90, constraintoward: "right", ...ticks },
      yaxis: { automargin: true, fixedrange: true, showgrid: false, zeroline: false, autorange: "reversed", scaleanchor: "x", constrain: "domain", constraintoward: "top", ...ticks } }));
};
const titled = (of) => `${of.title[0].toUpperCase()}${of.title.slice(1)}`;
const withUnit = (of) => `${titled(of)}${of.unit ? ` (${of.unit})` : ""}`;
const drawHeatmaps = () => {
  const { left, right } = shown, ranks = scale.value === "rank", what = ranks ? "shares" : "values";
  for (const [side, of] of [["left", left], ["right", right]])
    heatmap(side, ranks ? titled(of) : withUnit(of), of[what], { colorscale: "Viridis", zmin: 0 });
  const gap = right.shares.map((s, k) => s - left.shares[k]);
  const most = Math.max(...gap.map(Math.abs)) || 1;
  heatmap("gap", `Percentile rank, ${shown.gap}`, gap,
    { colorscale: [[0, color("near")], [0.5, color("middle")], [1, color("far")]], zmin: -most, zmax: most });
};

const placesOf = (list) => {
  const at = new Map(shown.names.map((name, i) => [name, i]));
  return list.filter((pair) => pair.every((name) => at.has(name))).map(([a, b]) => place(at.get(a), at.get(b)));
};
let byLeft = [];
const drawScatter = () => {
  const { names, clusters, colors, left, right } = shown, what = scale.value === "rank" ? "shares" : "values";
  const within = ([i, j]) => clusters[names[i]] && clusters[names[i]] === clusters[names[j]];
  const all = pairs().map((_, k) => k), inside = pairs().map(within);
  byLeft = all.slice().sort((a, b) => left.values[a] - left.values[b]);
  const ring = (list, symbol, size) => ({ type: "scatter", mode: "markers", x: list.map((k) => left[what][k]), y: list.map((k) => right[what][k]), hoverinfo: "skip", customdata: list, marker: { symbol, size, color: color("ink"), line: { width: 1.6, color: color("ink") } } });
  const name = (of) => scale.value === "rank" ? `Percentile rank of ${of.title}` : withUnit(of);
  draw("scatter", [
    { type: "scatter", mode: "markers", x: all.map((k) => left[what][k]), y: all.map((k) => right[what][k]), text: large() ? undefined : all.map(hover), customdata: all, hoverinfo: large() ? "none" : "text",
      marker: { size: 8, opacity: 0.8, symbol: inside.map((yes) => yes ? "diamond" : "circle"), color: inside.map((yes, k) => yes ? colors[names[pairs()[k][0]]] : color("soft")), line: { width: 0.8, color: color("paper") } } },
    ring(placesOf(shown.decoupled), "circle-open", 15), ring(placesOf(shown.predicted), "square-open", 17),
  ], look({ margin: { l: 8, r: 12, t: 12, b: 8 }, hovermode: "closest", xaxis: axis(name(left)), yaxis: axis(name(right)) }));
};

const walkHeatmap = (id) => {
  let at = [0, 1];
  byId(id).addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    const rows = arranged();
    if (Math.max(...at) >= rows.length) at = [0, 1];
    if (step) {
      event.preventDefault();
      let next = [at[0] + step[0], at[1] + step[1]];
      if (next[0] === next[1]) next = [next[0] + step[0], next[1] + step[1]];
      if (Math.min(...next) < 0 || Math.max(...next) >= rows.length) return;
      at = next;
      Plotly.Fx.hover(byId(id), { xval: at[1], yval: at[0] }, "xy");
      point(place(rows[at[0]], rows[at[1]]));
    } else if (isLink(event)) { event.preventDefault(); choose(place(rows[at[0]], rows[at[1]])); }
  });
};
["heatmap-left", "heatmap-right", "heatmap-gap"].forEach(walkHeatmap);
let step = -1;
byId("scatter").addEventListener("keydown", (event) => {
  const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
  if (by) {
    event.preventDefault();
    step = Math.max(0, Math.min(byLeft.length - 1, step + by));
    Plotly.Fx.hover(byId("scatter"), [{ curveNumber: 0, pointNumber: byLeft[step] }]);
    point(byLeft[step]);
  } else if (isLink(event) && step >= 0) { event.preventDefault(); choose(byLeft[step]); }
});

// Many points take seconds, so they are drawn when they come into view.
let seen = false;
new IntersectionObserver((entries) => {
  if (!seen && entries.some((entry) => entry.isIntersecting)) { seen = true; drawScatter(); }
}).observe(byId("scatter"));

// Every pair

let stale = true;
const fillPairs = () => {
  stale = true;
  if (!byId("all-pairs").open || pairs().length > 5000) return;
  stale = false;
  const { left, right } = shown;
  byId("pairs").tBodies[0].replaceChildren(...pairs().map((pair, k) => {
    const row = document.createElement("tr"), head = document.createElement("th"), button = document.createElement("button");
    head.scope = "row"; button.type = "button"; button.className = "pair"; button.textContent = label(pair);
    button.addEventListener("click", () => choose(k, true));
    head.append(button); row.append(head);
    for (const value of [left.values[k], left.ranks[k], right.values[k], right.ranks[k], right.ranks[k] - left.ranks[k]]) {
      const cell = row.insertCell(); cell.className = "n"; cell.textContent = Number.isInteger(value * 2) ? value : digits(value); cell.dataset.value = value;
    }
    return row;
  }));
};
byId("all-pairs").addEventListener("toggle", () => { if (stale) fillPairs(); });

const show = (view) => {
  shown = view; step = -1; seen ||= !large();
  drawKey(); drawHeatmaps(); fillPairs();
  if (seen) drawScatter();
};

// Sorting

document.querySelectorAll("table.sorts").forEach((table) => {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button"; button.append(...head.childNodes); head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      [...table.tHead.rows[0].cells].forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => { const cell = row.cells[column]; return cell.dataset.value ?? cell.querySelector("data")?.value ?? cell.textContent.trim(); };
      const order = [...table.tBodies[0].rows].map((row) => [value(row), row]).sort(([a], [b]) =>
        a !== "" && b !== "" && !isNaN(a) && !isNaN(b) ? a - b : String(a).localeCompare(String(b)));
      table.tBodies[0].append(...(down ? order.reverse() : order).map(([, row]) => row));
    });
  });
});

// A page calls this with what draws all of its charts.
const alive = (all) => {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
  let opened = [];
  addEventListener("beforeprint", () => { opened = [...document.querySelectorAll("details:not([open]):not(#all-pairs)")]; opened.forEach((d) => { d.open = true; }); seen = true; Object.keys(drawn).forEach((id) => Plotly.Fx.unhover(byId(id))); all(); });
  addEventListener("afterprint", () => { opened.forEach((d) => { d.open = false; }); all(); });
  all();
};

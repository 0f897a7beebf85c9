"use strict";
// The charts, the sorting of tables and the view of tokens. All numbers are those of #charts.
(() => {
  const data = JSON.parse(document.getElementById("charts").textContent);
  const byId = (id) => document.getElementById(id);
  const names = data.personas, n = names.length;
  const readable = (name) => name.replaceAll("_", " ");
  const short = (name) => readable(name).length > 24 ? `${readable(name).slice(0, 11)}…${readable(name).slice(-11)}` : readable(name);
  const pairs = [];
  for (let i = 0; i < n; i++) for (let j = i + 1; j < n; j++) pairs.push([i, j]);
  const place = (i, j) => { if (i > j) [i, j] = [j, i]; return i * n - i * (i + 1) / 2 + j - i - 1; };
  const label = ([i, j]) => `${readable(names[i])} – ${readable(names[j])}`;
  const digits = (x) => x === null ? "not computed" : Math.abs(x) < 1e-3 && x !== 0 ? x.toExponential(2) : x.toPrecision(4);
  const large = n > 60;
  const narrow = () => window.innerWidth < 640;
  const isLink = (event) => event.key === "Enter" || event.key === " ";

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
  const cache = new Map();
  const geometry = (kind, name) => {
    const key = `${kind}/${name}`;
    if (!cache.has(key)) {
      const values = data[kind][name], ranks = ranked(values);
      cache.set(key, { values, ranks, shares: ranks.map((r) => 100 * (r - 0.5) / ranks.length) });
    }
    return cache.get(key);
  };
  const correlation = (a, b) => {
    const mean = (x) => x.reduce((s, v) => s + v, 0) / x.length;
    const [ma, mb] = [mean(a), mean(b)];
    let ab = 0, aa = 0, bb = 0;
    a.forEach((v, k) => { ab += (v - ma) * (b[k] - mb); aa += (v - ma) ** 2; bb += (b[k] - mb) ** 2; });
    return aa && bb ? ab / Math.sqrt(aa * bb) : null;
  };

  const fill = (id, entries, chosen) => {
    const select = byId(id);
    select.replaceChildren(...entries.map(([value, text]) => new Option(text, value, value === chosen, value === chosen)));
    return select;
  };
  const layer = fill("layer", Object.keys(data.layers).map((l) => [l, Number(l) === data.headline ? `${l} (headline)` : l]), String(data.headline));
  const cutoff = fill("cutoff", Object.keys(data.cutoffs).map((c) => [c, c === "full" ? "whole responses" : `first ${c} tokens`]), "full");
  const [scale, order] = [byId("scale"), byId("order")];
  document.querySelectorAll("form.controls").forEach((form) => form.addEventListener("submit", (event) => event.preventDefault()));

  // Charts

  byId("key").replaceChildren(...[...new Set(names.map((name) => data.clusters[name]).filter(Boolean))].map((cluster) => {
    const entry = document.createElement("li"), patch = document.createElement("span");
    patch.style.background = data.colors[names.find((name) => data.clusters[name] === cluster)];
    entry.append(patch, readable(cluster));
    return entry;
  }));
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const look = (more) => ({
    paper_bgcolor: color("paper"), plot_bgcolor: color("paper"), dragmode: false, showlegend: false,
    font: { family: "system-ui, 'DejaVu Sans', sans-serif", size: 12, color: color("ink") },
    margin: { l: 8, r: 8, t: 34, b: 8 }, hoverlabel: { align: "left" }, ...more,
  });
  const OPTIONS = { displayModeBar: false, responsive: true, doubleClick: false };
  const axis = (title, more) => ({ title: { text: title }, gridcolor: color("line"), zerolinecolor: color("soft"), linecolor: color("soft"), automargin: true, fixedrange: true, ...more });
  const drawn = {};
  const draw = (id, traces, layout) => {
    const first = !drawn[id];
    drawn[id] = Plotly.react(byId(id), traces, layout, OPTIONS).then(() => {
      if (!first) return;
      byId(id).on("plotly_click", ({ points: [at] }) => { if (isPair(at)) choose(...pairs[at.customdata]); });
      byId(id).on("plotly_hover", ({ points: [at] }) => { if (isPair(at)) point(at.customdata); });
    });
  };
  const isPair = (at) => at.customdata !== undefined && at.customdata !== null;

  const said = (k) => {
    const [cosine, js] = [geometry("layers", layer.value), geometry("cutoffs", cutoff.value)];
    return `${label(pairs[k])}: cosine distance ${digits(cosine.values[k])} (rank ${cosine.ranks[k]} of ${pairs.length}), ` +
      `${data.divergence} ${digits(js.values[k])}${data.unit ? ` ${data.unit}` : ""} (rank ${js.ranks[k]} of ${pairs.length})`;
  };
  const hover = (k) => said(k).replace(": ", "<br>").replace("), ", ")<br>");

  const arranged = () => order.value === "near" ? data.order : names.map((_, i) => i).sort((a, b) => names[a] < names[b] ? -1 : 1);
  const heatmap = (kind, title, values, more) => {
    const id = `heatmap-${kind}`;
    byId(`title-${kind}`).textContent = title;
    const rows = arranged();
    const z = rows.map((i) => rows.map((j) => i === j ? null : values[place(i, j)]));
    const at = rows.map((i) => rows.map((j) => i === j ? null : place(i, j)));
    const text = large ? undefined : at.map((row) => row.map((k) => k === null ? "" : hover(k)));
    const size = large ? 0 : Math.max(6, Math.min(11, (narrow() ? 150 : 210) / n));
    const ticks = size ? { tickvals: rows.map((_, r) => r), ticktext: rows.map((i) => short(names[i])), tickfont: { size } } : { showticklabels: false };
    const strip = rows.flatMap((i, r) => data.colors[names[i]] ? [
      { type: "rect", xref: "x", yref: "paper", x0: r - 0.5, x1: r + 0.5, y0: 1.005, y1: 1.025, fillcolor: data.colors[names[i]], line: { width: 0 } },
      { type: "rect", xref: "paper", yref: "y", y0: r - 0.5, y1: r + 0.5, x0: 1.005, x1: 1.025, fillcolor: data.colors[names[i]], line: { width: 0 } },
    ] : []);
    draw(id, [{ type: "heatmap", z, text, customdata: at, hoverinfo: large ? "none" : "text", hoverongaps: false, colorbar: { orientation: "h", thickness: 9, len: 0.9, y: -0.02, yanchor: "top", ypad: 0, tickfont: { size: 9 }, outlinewidth: 0, ...(size ? { y: 1.04, yanchor: "bottom" } : {}) }, ...more }],
      look({ margin: { l: 4, r: 12, t: 46, b: 4 }, shapes: large ? [] : strip,
        xaxis: { automargin: true, fixedrange: true, showgrid: false, zeroline: false, tickangle: 90, ...ticks },
        yaxis: { automargin: true, fixedrange: true, showgrid: false, zeroline: false, autorange: "reversed", scaleanchor: "x", constrain: "domain", ...ticks } }));
  };

  const drawHeatmaps = () => {
    const [cosine, js] = [geometry("layers", layer.value), geometry("cutoffs", cutoff.value)];
    const ranks = scale.value === "rank", what = ranks ? "shares" : "values";
    heatmap("cosine", `Cosine distance, layer ${layer.value}`, cosine[what], { colorscale: "Viridis", zmin: 0 });
    heatmap("js", `${data.divergence}${!ranks && data.unit ? ` (${data.unit})` : ""}`, js[what], { colorscale: "Viridis", zmin: 0 });
    const gap = js.shares.map((s, k) => s - cosine.shares[k]);
    const most = Math.max(...gap.map(Math.abs)) || 1;
    heatmap("gap", "Percentile rank, divergence less cosine", gap,
      { colorscale: [[0, color("near")], [0.5, color("middle")], [1, color("far")]], zmin: -most, zmax: most });
  };

  const same = (pair) => (k) => names[pairs[k][0]] === pair[0] && names[pairs[k][1]] === pair[1] || names[pairs[k][0]] === pair[1] && names[pairs[k][1]] === pair[0];
  const places = (list) => list.map((pair) => pairs.findIndex((_, k) => same(pair)(k))).filter((k) => k >= 0);
  let byCosine = [];
  const drawScatter = () => {
    const [cosine, js] = [geometry("layers", layer.value), geometry("cutoffs", cutoff.value)];
    const what = scale.value === "rank" ? "shares" : "values";
    const within = (k) => data.clusters[names[pairs[k][0]]] && data.clusters[names[pairs[k][0]]] === data.clusters[names[pairs[k][1]]];
    const all = pairs.map((_, k) => k);
    byCosine = all.slice().sort((a, b) => cosine.values[a] - cosine.values[b]);
    const ring = (list, symbol, size) => ({ type: "scatter", mode: "markers", x: list.map((k) => cosine[what][k]), y: list.map((k) => js[what][k]), hoverinfo: "skip", customdata: list, marker: { symbol, size, color: color("ink"), line: { width: 1.6, color: color("ink") } } });
    draw("scatter", [
      { type: "scatter", mode: "markers", x: all.map((k) => cosine[what][k]), y: all.map((k) => js[what][k]), text: large ? undefined : all.map(hover), customdata: all, hoverinfo: large ? "none" : "text",
        marker: { size: 8, opacity: 0.8, symbol: all.map((k) => within(k) ? "diamond" : "circle"), color: all.map((k) => within(k) ? data.colors[names[pairs[k][0]]] : color("soft")), line: { width: 0.8, color: color("paper") } } },
      ring(places(data.decoupled), "circle-open", 15), ring(places(data.predicted), "square-open", 17),
    ], look({ margin: { l: 8, r: 12, t: 12, b: 8 }, hovermode: "closest",
      xaxis: axis(scale.value === "rank" ? `Percentile rank of cosine distance, layer ${layer.value}` : `Cosine distance, layer ${layer.value}`),
      yaxis: axis(scale.value === "rank" ? `Percentile rank of ${data.divergence}` : `${data.divergence}${data.unit ? ` (${data.unit})` : ""}`) }));
  };

  const drawCurve = () => {
    const layers = Object.keys(data.curve).map(Number).sort((a, b) => a - b);
    const rho = layers.map((l) => data.curve[l].spearman);
    const found = layers.map((l) => data.found[l]);
    const held = layers.filter((l) => data.intervals[l] && data.intervals[l].low !== null);
    const shapes = [{ type: "line", xref: "x", yref: "paper", x0: data.headline, x1: data.headline, y0: 0, y1: 1, line: { dash: "dash", width: 2, color: color("bad") } }];
    const notes = [];
    if (data.ceiling.rho_ceiling !== null) {
      shapes.push({ type: "rect", xref: "paper", x0: 0, x1: 1, yref: "y", y0: data.ceiling.low, y1: data.ceiling.high, fillcolor: color("soft"), opacity: 0.35, line: { width: 1, color: color("soft") }, layer: "below" });
      notes.push({ xref: "paper", x: 1, y: data.ceiling.low, yanchor: "top", xanchor: "right", text: `noise ceiling ${digits(data.ceiling.rho_ceiling)}`, showarrow: false });
    }
    draw("curve", [
      { type: "scatter", mode: "markers", x: held, y: held.map((l) => data.curve[l].spearman), hoverinfo: "skip", marker: { size: 1, color: color("accent") },
        error_y: { type: "data", symmetric: false, array: held.map((l) => data.intervals[l].high - data.curve[l].spearman), arrayminus: held.map((l) => data.curve[l].spearman - data.intervals[l].low), color: color("accent"), thickness: 1.2, width: 4 } },
      { type: "scatter", mode: "lines+markers", x: layers, y: rho, hoverinfo: "text", line: { color: color("accent"), width: 1.6 },
        text: layers.map((l) => `layer ${l}: ρ ${digits(data.curve[l].spearman)}<br>Mantel p ${digits(data.curve[l].mantel_p)}<br>family-wise p ${digits(data.curve[l].family_wise_p)}`),
        marker: { size: 9, color: found.map((f) => f ? color("accent") : color("paper")), line: { width: 1.8, color: color("accent") } } },
    ], look({ margin: { l: 8, r: 12, t: 12, b: 8 }, shapes, annotations: notes, hovermode: "closest", xaxis: axis("Layer", { zeroline: false, tickformat: "d", dtick: layers.length < 12 ? 1 : undefined }), yaxis: axis("Spearman's ρ") }));
  };

  const point = (k) => { byId("pointed").textContent = k === null ? "" : `${said(k)}.`; };
  const walkHeatmap = (id) => {
    let at = [0, 1];
    byId(id).addEventListener("keydown", (event) => {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      const rows = arranged();
      if (step) {
        event.preventDefault();
        let next = [at[0] + step[0], at[1] + step[1]];
        if (next[0] === next[1]) next = [next[0] + step[0], next[1] + step[1]];
        if (Math.min(...next) < 0 || Math.max(...next) >= n) return;
        at = next;
        Plotly.Fx.hover(byId(id), { xval: at[1], yval: at[0] }, "xy");
        point(place(rows[at[0]], rows[at[1]]));
      } else if (isLink(event)) { event.preventDefault(); choose(rows[at[0]], rows[at[1]]); }
    });
  };
  ["heatmap-cosine", "heatmap-js", "heatmap-gap"].forEach(walkHeatmap);
  let step = -1;
  byId("scatter").addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (by) {
      event.preventDefault();
      step = Math.max(0, Math.min(pairs.length - 1, step + by));
      Plotly.Fx.hover(byId("scatter"), [{ curveNumber: 0, pointNumber: byCosine[step] }]);
      point(byCosine[step]);
    } else if (isLink(event) && step >= 0) { event.preventDefault(); choose(...pairs[byCosine[step]]); }
  });

  // Many points take seconds, so they are drawn when they come into view.
  let seen = !large;
  new IntersectionObserver((entries) => {
    if (!seen && entries.some((entry) => entry.isIntersecting)) { seen = true; drawScatter(); }
  }).observe(byId("scatter"));

  const draws = () => {
    const stored = (data.rho[layer.value] || {})[cutoff.value];
    const rho = stored === undefined ? correlation(geometry("layers", layer.value).ranks, geometry("cutoffs", cutoff.value).ranks) : stored;
    byId("rho").textContent = `Layer ${layer.value}, ${cutoff.value === "full" ? "whole responses" : `first ${cutoff.value} tokens`}: ρ = ${rho === null ? "not computed" : rho.toFixed(3)} over ${pairs.length} pairs.`;
    drawHeatmaps(); fillPairs();
    if (seen) drawScatter();
  };

  // Every pair

  let stale = true;
  const fillPairs = () => {
    stale = true;
    if (!byId("all-pairs").open || pairs.length > 5000) return;
    stale = false;
    const [cosine, js] = [geometry("layers", layer.value), geometry("cutoffs", cutoff.value)];
    byId("pairs").tBodies[0].replaceChildren(...pairs.map((pair, k) => {
      const row = document.createElement("tr"), head = document.createElement("th"), button = document.createElement("button");
      head.scope = "row"; button.type = "button"; button.className = "pair"; button.textContent = label(pair);
      button.addEventListener("click", () => choose(...pair, true));
      head.append(button); row.append(head);
      for (const value of [cosine.values[k], cosine.ranks[k], js.values[k], js.ranks[k], js.ranks[k] - cosine.ranks[k]]) {
        const cell = row.insertCell(); cell.className = "n"; cell.textContent = Number.isInteger(value * 2) ? value : digits(value); cell.dataset.value = value;
      }
      return row;
    }));
  };
  byId("all-pairs").addEventListener("toggle", () => { if (stale) fillPairs(); });

  // Two personas on a response

  const people = names.map((name, i) => [String(i), readable(name)]);
  const [from, to] = data.shown;
  const first = fill("first", people, String(from)), second = fill("second", people, String(to));
  const prompt = fill("prompt", data.tokens ? data.tokens.prompts.map((p, k) => [String(k), readable(p.name)]) : [], "0");
  if (!data.tokens) byId("prompt-label").hidden = true;
  const decoded = (entry) => entry.decoded ||= Uint8Array.from(atob(entry.bytes), (c) => c.charCodeAt(0));
  let spans = [], values = [], current = -1;
  const showTokens = () => {
    const [i, j] = [Number(first.value), Number(second.value)];
    const box = byId("tokens");
    box.replaceChildren(); byId("loudest").textContent = ""; spans = []; current = -1;
    if (i === j) { byId("chosen").textContent = "Choose two different personas."; return; }
    byId("chosen").textContent = `${said(place(i, j))}.`;
    if (!data.tokens) return;
    const row = data.tokens.pairs.indexOf(place(i, j));
    if (row < 0) { byId("loudest").textContent = "The tokens of this pair are not in this file, for its size; open_study(...).token_divergences gives them."; return; }
    const entry = data.tokens.prompts[Number(prompt.value)], bytes = decoded(entry);
    const length = bytes.length / data.tokens.pairs.length;
    values = Array.from(bytes.slice(row * length, (row + 1) * length), (b) => data.tokens.largest * (b / 255) ** 2);
    const most = Math.max(...values) || 1;
    spans = values.map((value, t) => {
      const span = document.createElement("span");
      span.className = "token"; span.style.setProperty("--share", (value / most).toFixed(3));
      span.textContent = entry.tokens ? entry.tokens[t] : "▯"; span.title = `${digits(value)} ${data.unit}`;
      return span;
    });
    box.append(...spans);
    const loud = values.map((_, t) => t).sort((a, b) => values[b] - values[a]).slice(0, 5);
    byId("loudest").textContent = `The two part most at ${loud.map((t) => `${entry.tokens ? `“${entry.tokens[t].trim() || "blank"}”` : "token"} (token ${t + 1}, about ${digits(values[t])} ${data.unit})`).join(", ")}. The deeper the color, the larger the divergence at that token; arrow keys step through them.`;
  };
  byId("tokens").addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by || !spans.length) return;
    event.preventDefault();
    if (current >= 0) spans[current].classList.remove("at");
    current = Math.max(0, Math.min(spans.length - 1, current + by));
    spans[current].classList.add("at");
    byId("chosen").textContent = `Token ${current + 1} of ${spans.length}, “${spans[current].textContent}”: about ${digits(values[current])} ${data.unit}.`;
  });
  const choose = (i, j, jump) => {
    first.value = String(i); second.value = String(j); showTokens();
    if (jump) byId("tokens-title").scrollIntoView({ block: "start" });
  };
  document.querySelectorAll("button.pair[data-first]").forEach((button) => button.addEventListener("click", () =>
    choose(names.indexOf(button.dataset.first), names.indexOf(button.dataset.second), true)));

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

  // All of it

  [layer, cutoff, scale, order].forEach((control) => control.addEventListener("change", draws));
  [first, second, prompt].forEach((control) => control.addEventListener("change", showTokens));
  const all = () => { draws(); drawCurve(); };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
  let opened = [];
  addEventListener("beforeprint", () => { opened = [...document.querySelectorAll("details:not([open]):not(#all-pairs)")]; opened.forEach((d) => { d.open = true; }); seen = true; Object.keys(drawn).forEach((id) => Plotly.Fx.unhover(byId(id))); all(); });
  addEventListener("afterprint", () => { opened.forEach((d) => { d.open = false; }); all(); });
  all(); showTokens();
})();

// A study: layers against cutoffs, the curve, and two personas on a response.
const layer = fill("layer", Object.keys(data.layers).map((l) => [l, Number(l) === data.headline ? `${l} (headline)` : l]), String(data.headline));
const cutoff = fill("cutoff", Object.keys(data.cutoffs).map((c) => [c, c === "full" ? "whole responses" : `first ${c} tokens`]), "full");

const drawView = () => {
  show({
    names: data.personas, order: data.order, clusters: data.clusters, colors: data.colors,
    left: geometry(data.layers[layer.value], `cosine distance at layer ${layer.value}`, ""),
    right: geometry(data.cutoffs[cutoff.value], data.divergence, data.unit),
    gap: "divergence less cosine", decoupled: data.decoupled, predicted: data.predicted,
    choose: chooseTwo,
  });
  const stored = (data.rho[layer.value] || {})[cutoff.value];
  const rho = stored === undefined ? correlation(shown.left.ranks, shown.right.ranks) : stored;
  byId("rho").textContent = `Layer ${layer.value}, ${cutoff.value === "full" ? "whole responses" : `first ${cutoff.value} tokens`}: ρ = ${rho === null ? "not computed" : rho.toFixed(3)} over ${pairs().length} pairs.`;
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

// Two personas on a response

const people = data.personas.map((name, i) => [String(i), readable(name)]);
const [from, to] = data.shown;
const first = fill("first", people, String(from)), second = fill("second", people, String(to));
const prompt = fill("prompt", data.tokens ? data.tokens.prompts.map((p, k) => [String(k), readable(p.name)]) : [], "0");
if (!data.tokens) byId("prompt-label").hidden = true;
const bytesOf = memoized((text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)));
let spans = [], values = [], current = -1, stepped = false;
const showTokens = () => {
  const [i, j] = [Number(first.value), Number(second.value)];
  const box = byId("tokens");
  box.replaceChildren(); byId("loudest").textContent = ""; spans = []; current = -1; stepped = false; showWords();
  if (i === j) { byId("chosen").textContent = "Choose two different personas."; return; }
  byId("chosen").textContent = `${said(place(i, j))}.`;
  if (!data.tokens) return;
  const row = data.tokens.pairs.indexOf(place(i, j));
  if (row < 0) { byId("loudest").textContent = "The tokens of this pair are not in this file, for its size; open_study(...).token_divergences gives them."; return; }
  const entry = data.tokens.prompts[Number(prompt.value)], bytes = bytesOf(entry.bytes);
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
  if (data.words) { current = loud[0]; spans[current].classList.add("at"); showWords(); }
};

// The likeliest words of a persona at a token, with their probabilities; none where not held.
const likely = (persona, t) => {
  const row = data.words.personas.indexOf(persona), [ids, shares] = data.words.prompts[Number(prompt.value)].map(bytesOf);
  if (row < 0) return [];
  const { k, personas, texts } = data.words, start = (row * (shares.length / personas.length / k) + t) * k;
  const places = new DataView(ids.buffer);
  return Array.from({ length: k }, (_, n) => [texts[places.getUint16(2 * (start + n), true)], (shares[start + n] / 255) ** 2]);
};
const readableWord = (text) => text.trim() ? text.trim() : JSON.stringify(text);
const percent = (p) => p < 0.0005 ? "under 0.1 %" : p > 0.995 ? "over 99 %" : `${p < 0.095 ? (100 * p).toFixed(1) : Math.round(100 * p)} %`;
const toldWords = (persona) => {
  const found = likely(persona, current);
  const list = found.map(([text, p]) => `“${readableWord(text)}” ${percent(p)}`).join(", ");
  return `${readable(data.personas[persona])}: ${found.length ? list : "not in this file, for its size"}`;
};
const showWords = () => {
  const box = byId("words");
  if (!box) return;
  box.replaceChildren();
  if (!data.words || current < 0) return;
  box.append(...[first, second].flatMap((select) => {
    const term = document.createElement("dt"), words = document.createElement("dd"), found = likely(Number(select.value), current);
    term.textContent = readable(data.personas[Number(select.value)]);
    words.append(...found.map(([text, p]) => {
      const span = document.createElement("span");
      span.textContent = `${readableWord(text)} ${percent(p)}`;
      if (text === spans[current].textContent) span.className = "said";
      return span;
    }));
    if (!found.length) words.textContent = "not in this file, for its size";
    return [term, words];
  }));
};
const goTo = (t) => {
  if (current >= 0) spans[current].classList.remove("at");
  current = t; spans[current].classList.add("at");
  showWords();
};
byId("tokens").addEventListener("keydown", (event) => {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!by || !spans.length) return;
  event.preventDefault();
  stepped ? goTo(Math.max(0, Math.min(spans.length - 1, current + by))) : goTo(0);
  stepped = true;
  byId("chosen").textContent = `Token ${current + 1} of ${spans.length}, “${spans[current].textContent}”: about ${digits(values[current])} ${data.unit}.` +
    (data.words ? ` Likeliest here, ${[first, second].map((select) => toldWords(Number(select.value))).join("; ")}.` : "");
});
for (const event of ["mouseover", "click"]) byId("tokens").addEventListener(event, ({ target }) => {
  const t = spans.indexOf(target);
  if (t >= 0 && t !== current) goTo(t);
});
const chooseTwo = (i, j, jump) => {
  first.value = String(i); second.value = String(j); showTokens();
  if (jump) byId("tokens-title").scrollIntoView({ block: "start" });
};
document.querySelectorAll("button.pair[data-first]").forEach((button) => button.addEventListener("click", () =>
  chooseTwo(data.personas.indexOf(button.dataset.first), data.personas.indexOf(button.dataset.second), true)));

[layer, cutoff, scale, order].forEach((control) => control.addEventListener("change", drawView));
[first, second, prompt].forEach((control) => control.addEventListener("change", showTokens));
alive(() => { drawView(); drawCurve(); });
showTokens();

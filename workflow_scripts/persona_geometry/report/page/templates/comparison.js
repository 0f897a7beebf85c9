// A comparison: any geometry of one study against any of another, ρ by depth, and layers by layers.
const studies = Object.keys(data.studies);
const HUES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a7a00", "#777777"];

// Places of the personas that two studies share, in either.
const sharedBy = (one, other) => {
  if (one === other) return data.studies[one].personas.map((_, i) => [i, i]);
  const found = data.shared.find(({ studies: [a, b] }) => (a === one && b === other) || (a === other && b === one));
  if (!found) return [];
  return found.studies[0] === one ? found.places : found.places.map(([i, j]) => [j, i]);
};
const comparable = (one) => studies.filter((other) => sharedBy(one, other).length >= data.fewest);
const geometriesOf = (study) => [
  ...Object.keys(data.studies[study].cutoffs).reverse().map((c) => [`cutoffs/${c}`, c === "full" ? data.studies[study].divergence : `${data.studies[study].divergence}, first ${c} tokens`]),
  ...Object.keys(data.studies[study].layers).map((l) => [`layers/${l}`, `cosine distance, layer ${l}${Number(l) === data.studies[study].headline ? " (headline)" : ""}`]),
];
const controls = ["left", "right"].map((side) => ({ study: byId(`study-${side}`), geometry: byId(`geometry-${side}`) }));
const [left, right] = controls;
const fillGeometry = ({ study, geometry }, chosen) => {
  const entries = geometriesOf(study.value);
  fill(geometry.id, entries, entries.some(([value]) => value === chosen) ? chosen : "cutoffs/full");
};
const fillRight = () => {
  const known = comparable(left.study.value);
  const other = known.includes(right.study.value) && right.study.value !== left.study.value ? right.study.value : known.find((name) => name !== left.study.value) || left.study.value;
  fill("study-right", known.map((name) => [name, name]), other);
  fillGeometry(right, other === left.study.value ? `layers/${data.studies[other].headline}` : right.geometry.value || "cutoffs/full");
};

// Distances of some of a study's personas, as its page would list them.
const cuts = memoized((key) => {
  const [study, kind, name, places] = JSON.parse(key), of = data.studies[study], whole = of[kind][name];
  return pairsOf(places.length).map(([a, b]) => whole[placeOf(of.personas.length, places[a], places[b])]);
});
const chosenGeometry = ({ study, geometry: select }, places) => {
  const [kind, name] = select.value.split("/"), of = data.studies[study.value];
  const values = cuts(JSON.stringify([study.value, kind, name, places]));
  const title = kind === "layers" ? `cosine distance at layer ${name} of ${study.value}` : `${of.divergence}${name === "full" ? "" : ` over the first ${name} tokens`} of ${study.value}`;
  return geometry(values, title, kind === "layers" ? "" : of.unit);
};
const drawView = () => {
  const both = sharedBy(left.study.value, right.study.value);
  const of = data.studies[left.study.value], places = both.map(([i]) => i);
  const names = places.map((i) => of.personas[i]), at = new Map(places.map((i, k) => [i, k]));
  show({
    names, order: of.order.filter((i) => at.has(i)).map((i) => at.get(i)), clusters: of.clusters, colors: of.colors,
    left: chosenGeometry(left, places), right: chosenGeometry(right, both.map(([, j]) => j)),
    gap: "second less first", decoupled: [], predicted: [], choose: showPair,
  });
  const rho = correlation(shown.left.ranks, shown.right.ranks);
  byId("rho").textContent = `${titled(shown.left)}, and ${shown.right.title}: ρ = ${rho === null ? "not computed" : rho.toFixed(3)} over ${pairs().length} pairs of ${names.length} personas.`;
};

// One pair in every study that has it.
const showPair = (i, j, jump) => {
  const [one, other] = [shown.names[i], shown.names[j]];
  byId("chosen").textContent = `${readable(one)} – ${readable(other)}, in every study that shares both with ${left.study.value}.`;
  byId("chosen-pair").tBodies[0].replaceChildren(...studies.flatMap((name) => {
    const of = data.studies[name], mine = data.studies[left.study.value].personas;
    const at = new Map(sharedBy(left.study.value, name).map(([a, b]) => [mine[a], b]));
    if (!at.has(one) || !at.has(other)) return [];
    const k = placeOf(of.personas.length, at.get(one), at.get(other));
    const row = document.createElement("tr"), head = document.createElement("th");
    head.scope = "row"; head.textContent = name; row.append(head);
    const [cosine, js] = [of.layers[of.headline], of.cutoffs.full];
    for (const value of [of.headline, cosine[k], ranksOf(cosine)[k], js[k], ranksOf(js)[k], cosine.length]) {
      const cell = row.insertCell(); cell.className = "n"; cell.textContent = Number.isInteger(value * 2) ? value : digits(value); cell.dataset.value = value;
    }
    return [row];
  }));
  if (jump) byId("chosen-title").scrollIntoView({ block: "start" });
};
document.querySelectorAll("button.pair[data-first]").forEach((button) => button.addEventListener("click", () => {
  left.study.value = button.dataset.study; fillRight(); fillGeometry(left, left.geometry.value); drawView();
  const at = [button.dataset.first, button.dataset.second].map((name) => shown.names.indexOf(name));
  if (Math.min(...at) >= 0) showPair(...at, true);
}));

const drawDepth = () => {
  const names = Object.keys(data.curves);
  const traces = names.map((name, k) => {
    const points = data.curves[name].filter((at) => at.depth !== null && at.spearman !== null), hue = HUES[k % HUES.length];
    return { type: "scatter", mode: "lines+markers", name, x: points.map((at) => at.depth), y: points.map((at) => at.spearman), hoverinfo: "text",
      text: points.map((at) => `${name}, layer ${at.layer}<br>relative depth ${digits(at.depth)}<br>ρ ${digits(at.spearman)}`),
      line: { color: hue, width: 1.8, dash: ["solid", "dash", "dot", "dashdot"][k % 4] }, marker: { size: 6, color: hue, symbol: k % 8 } };
  });
  draw("depth", traces, look({ margin: { l: 8, r: 12, t: 12, b: 8 }, hovermode: "closest", showlegend: true, legend: { orientation: "h", y: -0.2 },
    xaxis: axis("Relative depth (layer over number of layers)", { zeroline: false, range: [-0.02, 1.02] }), yaxis: axis("Spearman's ρ of cosine against divergence") }));
};

const between = fill("between-studies", data.between.map(({ studies: two }, k) => [String(k), two.join(" and ")]), "0");
const drawBetween = () => {
  const of = data.between[Number(between.value)];
  if (!of) { byId("between-figure").hidden = true; return; }
  const [rows, columns] = of.layers, [one, other] = of.studies;
  const text = of.spearman.map((row, i) => row.map((rho, j) => `layer ${rows[i]} of ${one}<br>layer ${columns[j]} of ${other}<br>ρ ${digits(rho)}<br>family-wise p ${digits(of.family_wise_p[i][j])}`));
  const ticks = (layers) => {
    const by = Math.ceil(layers.length / 12), kept = layers.map((_, k) => k).filter((k) => k % by === 0);
    return { tickvals: kept, ticktext: kept.map((k) => String(layers[k])), zeroline: false, showgrid: false };
  };
  draw("between", [{ type: "heatmap", z: of.spearman, text, hoverinfo: "text", zmin: -1, zmax: 1, colorscale: [[0, color("near")], [0.5, color("middle")], [1, color("far")]], colorbar: { thickness: 10, outlinewidth: 0, title: { text: "ρ" } } }],
    look({ margin: { l: 8, r: 8, t: 12, b: 8 }, xaxis: axis(`Layer of ${other}`, ticks(columns)), yaxis: axis(`Layer of ${one}`, ticks(rows)) }));
};

if (studies.length) {
  fill("study-left", studies.map((name) => [name, name]), studies[0]);
  fillGeometry(left, "cutoffs/full"); fillRight();
  left.study.addEventListener("change", () => { fillGeometry(left, left.geometry.value); fillRight(); drawView(); });
  right.study.addEventListener("change", () => { fillGeometry(right, right.geometry.value); drawView(); });
  [left.geometry, right.geometry, scale, order].forEach((control) => control.addEventListener("change", drawView));
  between.addEventListener("change", drawBetween);
  alive(() => { drawView(); drawDepth(); drawBetween(); });
  showPair(0, 1);
}

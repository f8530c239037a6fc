"use strict"
// What the page of the lab says of all trials together: charts, table, findings.

function svg(parent, tag, attributes, text) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", tag)
  for (const name in attributes) e.setAttribute(name, attributes[name])
  if (text !== undefined) e.textContent = text
  parent.append(e)
  return e
}
const number = n => n === null ? "-" : n === 0 ? "0" : n < 1 ? n.toFixed(2) : n < 10 ? n.toFixed(1) : Math.round(n).toLocaleString("en")
const size = t => `${t.processes} ${t.processes === 1 ? "process" : "processes"}, ${t.for_ms ? `for ${time(1000 * t.for_ms)}` : `${t.rows_per_process} rows each`}, ${t.task_ms ? `a task of ${time(1000 * t.task_ms)}` : "no task"}`
const sizes = trials => trials.reduce((all, t) => all.set(size(t), [...all.get(size(t)) || [], t]), new Map())

function showResult(s) {
  $("headline").textContent = tie(s.headline)
  const box = $("result"), compared = s.trials.filter(t => !t.introduction)
  box.hidden = !s.trials.length
  box.replaceChildren()
  add(box, "h2", "", "All figures")
  for (const [name, trials] of sizes(compared.length ? compared : s.trials)) {
    add(box, "h3", "", name)
    fillTable(add(add(box, "div", "wide"), "table"), ["strategy", "stored/asked", "SQLITE_BUSY", "rows/s", "wait p50 ms", "p99 ms", "max ms", "rows/process", "Jain"],
      trials.map(t => [t.strategy, `${t.stored}/${t.asked}`, Object.entries(t.errors).reduce((n, [code, times]) => n + ((code & 255) === 5 ? times : 0), 0), number(t.rows_per_second),
        number(t.wait_ms.p50), number(t.wait_ms.p99), number(t.wait_ms.max), t.per_process.min + "-" + t.per_process.max, t.fairness === null ? "-" : t.fairness.toFixed(2)]))
  }
  add(box, "p", "note", "Wait: from when a row is ready to its commit or failure, less its work. Rows/process: the fewest and the most of one process when the first was done. Jain's index of these: 1 is even.")
  if (s.findings.length) add(box, "h2", "", "What this run shows")
  const list = add(box, "ul")
  for (const finding of s.findings) add(list, "li", "", tie(finding))
  if (s.recommendation) {
    add(box, "h2", "", "Recommendation")
    add(box, "p", "", tie(s.recommendation))
    if (s.check) add(add(box, "p"), "code", "", s.check)
  }
  if (s.warning) add(box, "p", "warning", s.warning)
  $("about").textContent = s.about_line
  showCharts(s)
}

function showCharts(s) {
  const box = $("charts"), compared = s.trials.map((t, i) => ({ ...t, recording: recordings.get(i + 1) })).filter(t => !t.introduction)
  box.hidden = compared.length < 2
  if (!box.clientWidth) return // not visible: the reader is still guessing
  box.replaceChildren()
  if (box.hidden) return
  const groups = sizes(compared)
  const [name, largest] = [...groups].at(-1)
  const charts = [] // drawn when all of them have their place, and so their width
  const chart = (title, draw) => charts.push([figure(box, title), draw])
  const of = groups.size > 1 ? ", " + name : ""
  chart("Rows of each process" + of, f => rowsChart(f, largest))
  chart("How long rows waited" + of, f => waitsChart(f, largest))
  for (const task of new Set(compared.map(t => t.task_ms))) {
    const sweep = compared.filter(t => t.task_ms === task), of = task ? `, a task of ${time(1000 * task)}` : ""
    if (new Set(sweep.map(t => t.processes)).size < 2) continue
    chart("Rows a second, by number of processes" + of, f => sweepChart(f, sweep, t => t.rows_per_second, number, "most"))
    chart("Longest wait, by number of processes" + of, f => sweepChart(f, sweep, t => t.wait_ms.max, ms => time(1000 * ms), "least"))
  }
  for (const [f, draw] of charts) draw(f)
}

function figure(box, title) {
  const f = add(box, "figure")
  add(f, "h3", "", title)
  return f
}
const canvasOf = (f, height) => svg(f, "svg", { width: f.clientWidth, height, role: "img", "aria-label": f.firstChild.textContent + ": as text below, as a table under All figures" })
const say = (f, text) => add(f, "figcaption", "", tie(text))

// rowsChart has a bar for each process of each strategy.
function rowsChart(f, trials) {
  const most = Math.max(1, ...trials.flatMap(t => t.process_results.map(p => p.rows))), bar = trials[0].processes > 8 ? 3 : 7
  const heights = trials.map(t => Math.max(22, t.process_results.length * (bar + 2) + 8))
  const s = canvasOf(f, heights.reduce((a, b) => a + b, 0)), left = 84, width = f.clientWidth - left - 60
  let top = 0
  trials.forEach((t, i) => {
    svg(s, "text", { x: left - 8, y: top + heights[i] / 2, "text-anchor": "end", dy: 1 }, t.strategy)
    t.process_results.forEach((p, k) => {
      const y = top + k * (bar + 2), w = p.rows / most * width
      svg(svg(s, "rect", { x: left, y, width: Math.max(1, w), height: bar, class: p.rows ? "held" : "none" }), "title", {}, `${p.process}: ${p.rows} rows`)
    })
    svg(s, "text", { x: left + t.per_process.max / most * width + 6, y: top + heights[i] / 2, dy: 1, class: "muted" }, t.per_process.min === t.per_process.max ? t.per_process.max.toLocaleString("en") : `${t.per_process.min.toLocaleString("en")}-${t.per_process.max.toLocaleString("en")}`)
    top += heights[i]
  })
  const by = trials.filter(t => t.fairness !== null).sort((a, b) => a.fairness - b.fairness), worst = by[0], best = by.at(-1)
  if (!best) return
  const share = t => t.per_process.min === t.per_process.max ? `each had ${t.per_process.max.toLocaleString("en")}` : `one had ${t.per_process.min.toLocaleString("en")} and another ${t.per_process.max.toLocaleString("en")}`
  say(f, `A bar is what one process had stored when ${trials[0].for_ms ? "time was up" : "the first was done"}. With ${worst.strategy} ${share(worst)}` + (best === worst ? "." : `; with ${best.strategy} ${share(best)}.`))
}

// waitsChart shows where the waits of each strategy lie: the darker, the more.
function waitsChart(f, trials) {
  const BINS = 60, low = .01, high = Math.max(1, ...trials.map(t => t.wait_ms.max || 0)) * 1.2, row = 30
  const left = 84, width = f.clientWidth - left - 66, x = ms => left + Math.log(Math.max(low, ms) / low) / Math.log(high / low) * width
  const s = canvasOf(f, trials.length * row + 24)
  const narrow = x(10 * low) - x(low) < 46
  for (let ms = low, k = 0; ms <= high; ms *= 10, k++) {
    svg(s, "path", { d: `M${x(ms)} 0V${trials.length * row}`, class: "grid" })
    if (!narrow || k % 2) svg(s, "text", { x: x(ms), y: trials.length * row + 14, "text-anchor": "middle", class: "muted" }, time(1000 * ms))
  }
  trials.forEach((t, i) => {
    const y = i * row + row / 2, bins = new Float64Array(BINS)
    svg(s, "text", { x: left - 8, y, "text-anchor": "end", dy: 4 }, t.strategy)
    for (const l of t.recording ? t.recording.lanes.filter(l => l.process !== "writer") : []) {
      for (let k = 0; k < l.n; k++) {
        const ms = Math.max(low, (l.end[k] - l.ready[k] - l.task[k]) / 1000)
        if (!l.open[k]) bins[Math.min(BINS - 1, Math.floor((x(ms) - left) / width * BINS))] += l.rows[k]
      }
    }
    const most = Math.sqrt(Math.max(1, ...bins))
    bins.forEach((n, k) => n && svg(s, "rect", { x: left + k * width / BINS, y: y - 9, width: width / BINS + .3, height: 18, class: t.recording.lanes[0].wait === LOCK ? "waited" : "waited queue", opacity: .15 + .85 * Math.sqrt(n) / most }))
    if (t.wait_ms.max === null) return
    svg(s, "path", { d: `M${x(t.wait_ms.p50)} ${y - 12}v24`, class: "median" })
    svg(s, "text", { x: x(t.wait_ms.max) + 6, y, dy: 4, class: "muted" }, time(1000 * t.wait_ms.max))
  })
  const by = trials.filter(t => t.wait_ms.max !== null).sort((a, b) => a.wait_ms.max - b.wait_ms.max), best = by[0], worst = by.at(-1)
  if (best) say(f, `The darker, the more rows waited so long; the line is the median, the number the longest wait, and each step of the scale is ten times the one before. The longest wait was ${time(1000 * worst.wait_ms.max)} with ${worst.strategy}` + (best === worst ? "." : ` and ${time(1000 * best.wait_ms.max)} with ${best.strategy}.`))
}

// sweepChart has a line for each strategy, on logarithmic scales.
function sweepChart(f, trials, value, text, better) {
  const points = trials.filter(t => value(t) > 0), strategies = [...new Set(points.map(t => t.strategy))], counts = [...new Set(points.map(t => t.processes))].sort((a, b) => a - b)
  if (!points.length) return
  const low = Math.min(...points.map(value)) / 1.3, high = Math.max(...points.map(value)) * 1.3, height = 260, left = 62, width = f.clientWidth - left - 92
  const x = n => left + Math.log(n / counts[0]) / Math.log(counts.at(-1) / counts[0]) * width, y = v => 8 + Math.log(high / v) / Math.log(high / low) * (height - 40)
  const s = canvasOf(f, height)
  for (let unit = 10 ** Math.floor(Math.log10(low)); unit <= high; unit *= 10) {
    for (const v of high / low < 100 ? [unit, 2 * unit, 5 * unit] : [unit]) {
      if (v < low || v > high) continue
      svg(s, "path", { d: `M${left} ${y(v)}h${width}`, class: "grid" })
      svg(s, "text", { x: left - 6, y: y(v), dy: 4, "text-anchor": "end", class: "muted" }, text(v))
    }
  }
  for (const n of counts) svg(s, "text", { x: x(n), y: height - 8, "text-anchor": "middle", class: "muted" }, n)
  const ends = []
  strategies.forEach((name, i) => {
    const own = points.filter(t => t.strategy === name).sort((a, b) => a.processes - b.processes), last = own.at(-1)
    svg(s, "polyline", { points: own.map(t => x(t.processes) + "," + y(value(t))).join(" "), class: "line s" + i % 9 })
    for (const t of own) svg(svg(s, "circle", { cx: x(t.processes), cy: y(value(t)), r: 3, class: "dot s" + i % 9 }), "title", {}, `${name}, ${t.processes}: ${text(value(t))}`)
    ends.push([y(value(last)), name, i])
  })
  let free = 0
  for (const [at, name, i] of ends.sort((a, b) => a[0] - b[0])) {
    free = Math.max(free, at)
    svg(s, "text", { x: left + width + 8, y: free, dy: 4, class: "label s" + i % 9 }, name)
    free += 14
  }
  const last = points.filter(t => t.processes === counts.at(-1)).sort((a, b) => better === "most" ? value(b) - value(a) : value(a) - value(b))
  say(f, `Equal heights are equal ratios: the scale is logarithmic. With ${counts.at(-1)} processes, ${last[0].strategy} has the ${better === "most" ? "most rows a second" : "shortest longest wait"} (${text(value(last[0]))}) and ${last.at(-1).strategy} the ${better === "most" ? "fewest" : "longest"} (${text(value(last.at(-1)))}).`)
}

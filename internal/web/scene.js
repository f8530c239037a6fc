"use strict"
// Scenes: the actors of an act side by side, step by step, with the locks they hold.

// addScene shows a story: of each act, the actors as they are at one step.
function addScene(story) {
  const box = add($("scenes"), "section", "scene")
  add(box, "h2", "", story.name + ": " + story.title)
  story.acts.forEach((act, i) => addAct(box, act, i + 1))
  for (const [head, text] of story.error ? [["Not as expected", story.error]] : [["Why", story.why], ["Cure", story.cure]]) {
    const p = add(box, "p")
    add(p, "strong", "", head + ". ")
    p.append(text)
  }
  const links = add(box, "p", "note", "SQLite's documentation: ")
  for (const link of story.links) {
    const a = add(links, "a", "", link)
    if (link.startsWith("https://")) a.href = link
    links.append(" ")
  }
}

const answerOf = e => e.kind === "started" ? "waits" : e.code ? `${e.code} ${e.code_name}` + (e.at_once ? ", at once" : `, after ${time(1000 * e.waited_ms)}`) : e.result !== null ? e.result : e.kind === "shell" ? "" : e.kind === "ended" ? `ok, after ${time(1000 * e.waited_ms)}` : "ok"

function addAct(box, act, number) {
  const section = add(box, "section", "act")
  add(section, "h3", "", `${number}. ${act.title}`)
  const bar = add(section, "div", "steps"), back = add(bar, "button", "", "◀ Back"), on = add(bar, "button", "", "Next ▶"), where = add(bar, "span")
  add(bar, "span", "note", "or the arrow keys")
  const cast = add(section, "div", "cast"), panels = new Map()
  for (const a of [...act.cast, { actor: "shell" }]) {
    if (!a.pid && !act.events.some(e => e.actor === a.actor)) continue
    const panel = add(cast, "article"), head = add(panel, "h4", "", a.actor)
    if (a.pid) add(head, "small", "", ` process ${a.pid}, busy timeout ${time(1000 * a.busy_timeout_ms)}`)
    panels.set(a.actor, { panel, does: add(panel, "code"), says: add(panel, "p", "says"), locks: add(panel, "ul", "locks") })
  }
  const note = add(section, "p", "sentence")
  note.setAttribute("role", "status")
  const table = add(add(section, "div", "wide"), "table")
  fillTable(table, ["ms", "who", "does", "SQLite says", ""], act.events.map(e => [e.at_ms.toFixed(0), e.actor, (e.kind === "ended" ? "… " : "") + e.text, answerOf(e) + (e.message ? ` "${e.message}"` : ""), e.note]))
  const rows = [...table.tBodies[0].rows]
  let at = 0
  function go(to) {
    at = Math.max(0, Math.min(act.events.length - 1, to))
    const now = act.events[at]
    back.disabled = at === 0
    on.disabled = at === act.events.length - 1
    where.textContent = `step ${at + 1} of ${act.events.length}`
    rows.forEach((row, i) => { row.classList.toggle("now", i === at); row.classList.toggle("later", i > at) })
    for (const [actor, p] of panels) {
      const last = act.events.slice(0, at + 1).findLast(e => e.actor === actor)
      p.panel.className = (now.actor === actor ? "acts " : "") + (last && last.kind === "started" ? "waits" : last && last.code ? "failed" : "")
      p.does.textContent = last ? last.text : ""
      p.says.textContent = last ? answerOf(last) : ""
      p.locks.replaceChildren()
      for (const l of now.locks || []) if (l.actor === actor) add(p.locks, "li", l.blocks ? "blocks" : "", l.lock + " lock")
      if (!p.locks.firstChild && actor !== "shell") add(p.locks, "li", "none", now.locks ? "no lock" : "locks are not visible here")
    }
    note.textContent = [now.message && `"${now.message}"`, now.note].filter(Boolean).join(" ") || " "
  }
  back.onclick = () => go(at - 1)
  on.onclick = () => go(at + 1)
  rows.forEach((row, i) => row.onclick = () => go(i))
  section.tabIndex = 0
  section.addEventListener("keydown", e => {
    const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: Infinity }[e.key]
    if (to === undefined || e.ctrlKey || e.metaKey || e.altKey) return
    e.preventDefault()
    go(to)
  })
  go(0)
}

"use strict";
// Draws the page of `errata view` from the JSON in it: a list of items, and one item, or one program, beside it.
// Whatever a model or a data set wrote goes through `put` and so through createTextNode: it cannot become markup.
// An item is [id, benchmark, skill, flags of each side, texts]; its texts are [question, gold, solution, answer of each side] and an answer is
// [text, what was read, reason, judge]. Where a server holds the texts, they are a beginning of the question, and `texts` asks for the others.

const data = JSON.parse(document.getElementById("data").textContent);
const [ID, BENCH, SKILL, FLAGS, TEXTS] = [0, 1, 2, 3, 4];
const WORDS = { r: "right", w: "wrong", x: "not judged", c: "cut", n: "nothing could be read", j: "judged by" };
const CHUNK = 100, MOST = 4e6;  // rows drawn at once; cells of the largest table that finds what two answers share
const at = (name) => document.getElementById(name);

// ---- making nodes

// as errata.signatures.terminal.UNSEEN: characters that are not seen, or that turn the direction of reading
const UNSEEN = /([\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}])/u;

function put(node, text) {
  for (const [place, part] of String(text).replaceAll("\r\n", "\n").split(UNSEEN).entries())
    if (place % 2) node.append(make("span", { class: "unseen" }, document.createTextNode("U+" + part.codePointAt(0).toString(16).toUpperCase().padStart(4, "0"))));
    else if (part) node.append(document.createTextNode(part));
  return node;
}

function make(tag, attributes = {}, ...inside) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null && value !== false) node.setAttribute(name, value);
  for (const one of inside.flat(Infinity)) if (one instanceof Node) node.append(one); else if (one !== null && one !== undefined) put(node, one);
  return node;
}

const short = (text) => text.length > 160 ? `${text.slice(0, 160)}…` : text;
const prose = (text) => make("pre", { class: "prose", dir: "auto" }, text);
const fold = (title, ...inside) => make("details", {}, make("summary", {}, title), ...inside);
const many = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

// ---- what is shown: the state stands in the address

const usual = () => ({ show: "all", bench: "", skill: "", said: "", q: "", before: 0, after: data.after, item: "", lesson: "" });
let state = usual(), found = [], first = 0, drawn = 0, filtered = null, haystack = null, served = null;
const byId = new Map(data.items.map((item, place) => [item[ID], place]));
const lessonsOf = group(data.lessons, (one) => one.items), lessonsLike = group(data.lessons, (one) => one.skills);
const lessonById = new Map(data.lessons.map((one) => [one.id, one]));

function group(rows, keys) {
  const made = new Map();
  for (const row of rows) for (const key of new Set(keys(row))) made.has(key) ? made.get(key).push(row) : made.set(key, [row]);
  return made;
}

function read() {
  const asked = new URLSearchParams(location.hash.slice(1));
  state = usual();
  for (const name of Object.keys(state)) if (asked.has(name)) state[name] = typeof state[name] === "number" ? Number(asked.get(name)) : asked.get(name);
  for (const side of ["before", "after"]) if (!data.sides[state[side]]) state[side] = usual()[side];
  if (!SHOWS[state.show]) state.show = "all";
}

function address(change) {
  const next = { ...state, ...change }, known = usual(), kept = new URLSearchParams();
  for (const [name, value] of Object.entries(next)) if (String(value) !== String(known[name])) kept.set(name, value);
  return "#" + kept;
}

function go(change, quietly = true) {
  const next = address(change);
  if (quietly) history.replaceState(null, "", next); else history.pushState(null, "", next);
  draw();
}

// the answer that counts: of the sides that are compared the last that was asked
const last = (item) => item[FLAGS][state.after] ?? item[FLAGS][state.before] ?? "";
const moved = (item, from, to) => item[FLAGS][state.before]?.[0] === from && item[FLAGS][state.after]?.[0] === to;
const SHOWS = {
  all: () => true,
  wrong: (item) => last(item)[0] === "w",
  right: (item) => last(item)[0] === "r",
  fixed: (item) => moved(item, "w", "r"),
  broken: (item) => moved(item, "r", "w"),
  cut: (item) => last(item).includes("c"),
  unread: (item) => last(item).includes("n"),
  unjudged: (item) => last(item)[0] === "x",
  judged: (item) => last(item).includes("j"),
};

function chosen(item) {
  return (item[FLAGS][state.before] || item[FLAGS][state.after]) && (!state.bench || item[BENCH] === Number(state.bench) - 1) && (!state.skill || data.skills[item[SKILL]] === state.skill) &&
    (!state.said || (lessonsOf.get(item[ID]) || []).some((one) => one.misconception === state.said));
}

function words() { return state.q.toLowerCase().split(/\s+/).filter(Boolean); }

function matches(place, wanted) {
  haystack ??= data.items.map((item) => [item[ID], data.skills[item[SKILL]], ...item[TEXTS].flat(2)].filter(Boolean).join("\n").toLowerCase());
  return wanted.every((word) => haystack[place].includes(word));
}

// ---- the list

function draw() {
  read();
  const wanted = words(), now = address({ item: "", lesson: "" });
  if (filtered === now) return detail();
  if (data.served && wanted.length && served?.q !== state.q) return ask("search?q=" + encodeURIComponent(state.q), (places) => { served = { q: state.q, places: new Set(places) }; draw(); });
  const some = [];
  data.items.forEach((item, place) => {
    if (chosen(item) && (!wanted.length || (data.served ? served.places.has(place) : matches(place, wanted)))) some.push(place);
  });
  found = some.filter((place) => SHOWS[state.show](data.items[place]));
  filtered = now;
  controls(some);
  sums();
  at("items").replaceChildren();
  at("list").scrollTop = 0;
  first = drawn = Math.max(0, Math.min(found.indexOf(byId.get(state.item)), found.length - CHUNK) - 20);
  more();
  detail();
  reveal("center");
}

const row = (place) => {
  const item = data.items[place], [task, split] = data.benchmarks[item[BENCH]];
  return make("li", {}, make("a", { href: address({ item: item[ID], lesson: "" }), "data-item": item[ID] }, verdicts(item), make("span", { class: "text", dir: "auto" }, begin(item) || "(no question)"),
    make("span", { class: "soft" }, [data.benchmarks.length > 1 ? short(`${task} ${split}`) : "", short(data.skills[item[SKILL]])].filter(Boolean).join(" · "))));
};

function more() {
  at("items").append(...found.slice(drawn, drawn + CHUNK).map(row));
  drawn = Math.min(drawn + CHUNK, found.length);
  at("earlier").hidden = !first;
}

function earlier() {
  const list = at("list"), before = list.scrollHeight, from = Math.max(0, first - CHUNK);
  at("items").prepend(...found.slice(from, first).map(row));
  first = from;
  at("earlier").hidden = !first;
  list.scrollTop += list.scrollHeight - before;
}

function reveal(block) { document.querySelector("#items a[aria-current]")?.scrollIntoView({ block }); }

const begin = (item) => data.served ? item[TEXTS] : ends(item[TEXTS][0]);
// what is asked often stands at the end
const ends = (text) => { const one = text.slice(0, 4000).replace(/\s+/g, " ").trim(); return one.length <= 170 ? one : `${one.slice(0, 90)} […] ${one.slice(-70)}`; };

function verdicts(item) {
  const sides = state.before === state.after ? [state.after] : [state.before, state.after];
  return make("span", { class: "verdicts" }, sides.map((side) => sign(item[FLAGS][side], data.sides[side].label)));
}

function sign(flags, label) {
  const [text, tone, said] = !flags ? ["·", "soft", "not asked"] : flags[0] === "r" ? ["✓", "better", "right"] : flags[0] === "x" ? ["–", "soft", "not judged"] :
    flags.includes("c") ? ["…", "worse", "cut"] : flags.includes("n") ? ["?", "worse", "nothing could be read"] : ["✗", "worse", "wrong"];
  return make("span", { class: tone, title: `${label}: ${said}`, role: "img", "aria-label": said }, text);
}

// how the compared sides did on the items that were judged on both
function sums() {
  at("count").replaceChildren();
  put(at("count"), found.length === data.items.length ? many(found.length, "item") : `${found.length.toLocaleString("en")} of ${many(data.items.length, "item")}`);
  const both = found.map((place) => data.items[place][FLAGS]).filter((flags) => [state.before, state.after].every((side) => flags[side] && flags[side][0] !== "x"));
  const sides = both.length ? [...new Set([state.before, state.after])] : [];
  at("sums").replaceChildren(...sides.map((side) => {
    const right = both.filter((flags) => flags[side][0] === "r").length;
    return make("tr", {}, make("td", {}, short(data.sides[side].label)), make("td", {}, `${(100 * right / both.length).toFixed(1)} %`), make("td", {}, `${right.toLocaleString("en")} of ${both.length.toLocaleString("en")} right`));
  }));
}

// ---- filters

function controls(some) {
  at("shows").replaceChildren(...Object.keys(SHOWS).map((name) => [name, some.filter((place) => SHOWS[name](data.items[place])).length])
    .filter(([name, count]) => count || name === state.show || name === "all")
    .map(([name, count]) => {
      const button = make("button", { type: "button", "aria-pressed": String(name === state.show), "data-show": name, title: ["all", "fixed", "broken"].includes(name) ? "" : `by ${short(data.sides[state.after].label)}` }, name, " ", make("small", {}, count.toLocaleString("en")));
      button.onclick = () => go({ show: name });
      return button;
    }));
  if (document.activeElement !== at("search")) at("search").value = state.q;
  const skills = [...new Set(data.items.filter((item) => !state.bench || item[BENCH] === Number(state.bench) - 1).map((item) => data.skills[item[SKILL]]))].filter(Boolean).sort();
  const said = [...group(data.lessons, (one) => one.misconception ? [one.misconception] : [])].map(([text, some]) => [text, `${text} (${some.length})`]);
  const sides = data.sides.map((side, place) => [String(place), side.label]);
  at("choices").replaceChildren(...[
    ["task", "bench", [["", "all"], ...data.benchmarks.map((names, place) => [String(place + 1), names.join(" ")])], 2],
    ["skill", "skill", [["", "all"], ...skills.map((name) => [name, name])], 2],
    ["misconception", "said", [["", "all"], ...said], 1],
    ["before", "before", sides, 2],
    ["after", "after", sides, 2],
  ].filter(([, name, options, few]) => options.length > few || String(state[name]) !== String(usual()[name])).map(([title, name, options]) => {
    const select = make("select", { "data-choice": name }, options.map(([value, text]) => make("option", { value }, text.length > 80 ? text.slice(0, 80) + "…" : text)));
    select.value = String(state[name]);
    select.onchange = () => go({ [name]: select.value, ...(name === "bench" ? { skill: "" } : {}) });
    return make("label", {}, title, select);
  }));
}

// ---- one item

function detail() {
  const lesson = lessonById.get(state.lesson), place = byId.get(state.item);
  document.body.classList.toggle("one", Boolean(lesson || place !== undefined || state.item || state.lesson));
  for (const link of document.querySelectorAll("#items a")) link.dataset.item === state.item ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current");
  if (lesson) return void show(lessonPage(lesson));
  if (place !== undefined) return void texts(place, (inside) => show(itemPage(place, inside)));
  if (state.item || state.lesson) return void show([back(), make("p", {}, `There is no item or program ${state.item || state.lesson} on this page.`)]);
  show([make("p", { class: "soft" }, "Choose an item, or press j. Press ? for the keys."), overview()]);
}

// the compared sides by benchmark, where nothing is chosen yet
function overview() {
  const rows = data.compared[`${state.before}-${state.after}`];
  if (!rows) return state.before < state.after ? [make("p", { class: "soft" }, "No item was judged on both of the sides that are compared.")] : [];
  const head = ["", "items", "before, %", "after, %", "difference", "fixed", "broken", "exact McNemar"];
  const cells = ([bench, pairs, before, after, points, fixed, broken, chance, sure]) => [make("a", { href: address({ bench: String(bench + 1) }) }, short(data.benchmarks[bench].join(" "))), pairs.toLocaleString("en"), before, after,
    make("span", { class: ["better", "worse"].includes(sure) ? sure : "" }, points), make("a", { href: address({ bench: String(bench + 1), show: "fixed" }) }, fixed), make("a", { href: address({ bench: String(bench + 1), show: "broken" }) }, broken), chance];
  return [make("p", {}, make("b", {}, short(data.sides[state.before].label)), " against ", make("b", {}, short(data.sides[state.after].label)), ", on the items that were judged on both:"),
    make("div", { class: "wide" }, make("table", {}, make("tr", {}, head.map((name) => make("th", {}, name))), rows.map((row) => make("tr", {}, cells(row).map((cell) => make("td", {}, cell)))))),
    make("p", { class: "soft" }, "Coloured where the change is sure: its 95 % interval leaves 0 out and the exact test gives p ≤ 0.05. Several benchmarks are not corrected for their number: ", make("code", {}, "errata diff"), " does that.")];
}

function show(nodes) { at("detail").replaceChildren(...nodes.flat(Infinity).filter(Boolean)); at("detail").scrollTop = 0; if (document.body.classList.contains("one")) scrollTo(0, 0); }

const back = () => make("a", { class: "back", href: address({ item: "", lesson: "" }) }, "← list");

function itemPage(place, [question, gold, solution, answers]) {
  const item = data.items[place], [task, split] = data.benchmarks[item[BENCH]], skill = data.skills[item[SKILL]], here = found.indexOf(place);
  const step = (by, title) => found[here + by] === undefined ? null : make("a", { href: address({ item: data.items[found[here + by]][ID] }) }, title);
  const compared = marks(answers[state.before]?.[0], answers[state.after]?.[0]);
  return [
    make("div", { class: "place" }, back(), make("span", {}, short(`${task} ${split}`)), skill ? make("span", {}, `skill: ${short(skill)}`) : null, make("code", {}, item[ID]),
      here < 0 ? null : make("span", { class: "steps" }, step(-1, "‹ k"), ` ${here + 1} of ${found.length} `, step(1, "j ›"))),
    make("h3", {}, "Question"), prose(question),
    make("h3", {}, "Gold answer"), prose(gold), solution ? fold("worked solution", prose(solution)) : null,
    make("div", { class: "sides" }, data.sides.map((side, at) => answers[at] ? sidePage(side, item[FLAGS][at], answers[at], at === state.before ? compared[0] : at === state.after ? compared[1] : null, at === state.before) : null)),
    taught(item, task, skill),
    make("p", { class: "soft" }, ...data.sides.filter((side) => side.run).slice(0, 1).flatMap((side) => ["In a terminal: ", make("code", {}, `errata trace ${side.run} ${item[ID]}`)])),
  ];
}

function sidePage(side, flags, [text, read, reason, judge], marked, old) {
  const tone = flags[0] === "r" ? "better" : flags[0] === "w" ? "worse" : "soft";
  const said = [WORDS[flags[0]], ...[...flags.slice(1)].filter((one) => one !== "j").map((one) => WORDS[one])];
  const node = make("pre", { class: "prose", dir: "auto" });
  if (marked) for (const [part, mark] of marked) mark ? node.append(make("mark", {}, part)) : put(node, part);
  else put(node, text);
  if (!text) node.append(make("span", { class: "soft" }, "(an empty answer)"));
  return make("div", { class: `side ${tone} ${old ? "old" : ""}` }, make("h3", {}, side.label, side.weights ? make("code", {}, side.weights) : null),
    make("p", {}, make("b", { class: tone }, said.join(", ")), judge ? ` by ${judge}` : "", read === null || read === undefined ? "" : [", read as ", make("code", {}, read)],
      reason && !said.includes(reason) ? `: ${reason}` : ""), node);
}

function taught(item, task, skill) {
  const own = lessonsOf.get(item[ID]) || [], like = own.length ? [] : lessonsLike.get(`${task}\n${skill}`) || [];
  if (own.length) return [make("h2", {}, "What was made of this error"), own.map(lessonBox)];
  if (!like.length) return [];
  return [make("h2", {}, `Taught of errors in the same skill: ${many(like.length, "diagnosis").replace("diagnosiss", "diagnoses")}`),
    make("p", { class: "soft" }, "Which row changed which answer is not known."), links(like.slice(0, 10).map(lessonLink), like.length - 10)];
}

const lessonLink = (one) => [make("span", { class: "soft" }, one.source ? many(one.drawn, "row") : "no program"),
  make("a", { href: address({ lesson: one.id, item: "" }) }, short(one.misconception || one.skill || one.id))];
const links = (rows, left) => [make("ul", { class: "links" }, rows.map((row) => make("li", {}, row))), left > 0 ? make("p", { class: "soft" }, `and ${left.toLocaleString("en")} more`) : null];

function lessonBox(one) {
  return make("div", { class: "lesson" }, make("h3", {}, make("a", { href: address({ lesson: one.id, item: "" }) }, short(one.skill) || "not diagnosed"), " ", make("code", {}, one.id)), told(one));
}

function told(one) {
  const facts = [["misconception", one.misconception], ["evidence", one.evidence], ["to teach", one.teach], ["boundary", one.boundary],
    ["program", one.source ? `${many(one.source.split("\n").length, "line")}, ${many(one.drawn, "row")} drawn from it${one.retired ? `; retired: ${one.retired}` : ""}` : "none was kept"],
    ...one.refusals.map(([check, reason]) => [`refused: ${check}`, reason])];
  return make("dl", {}, facts.filter(([, text]) => text).map(([name, text]) => [make("dt", {}, name), make("dd", {}, text)]));
}

// ---- one program, with its diagnosis, its rows and its items

function lessonPage(one) {
  const own = one.items.filter((id) => byId.has(id)), like = [];
  data.items.forEach((item, place) => { if (one.skills.includes(`${data.benchmarks[item[BENCH]][0]}\n${data.skills[item[SKILL]]}`) && !one.items.includes(item[ID])) like.push(place); });
  const changed = (name) => like.filter((place) => SHOWS[name](data.items[place]));
  const part = (title, places) => places.length ? [make("h3", {}, title), links(places.slice(0, 20).map(itemLink), places.length - 20)] : [];
  return [
    make("div", { class: "place" }, back(), make("span", {}, `round ${one.round}`), one.run ? make("span", {}, one.run) : null, make("code", {}, one.id)),
    make("h2", {}, short(one.skill) || "not diagnosed"), told(one),
    part(own.length === 1 ? "The error it was made of" : "The errors it was made of", own.map((id) => byId.get(id))),
    one.source ? [make("h3", {}, "Program"), python(one.source)] : [],
    one.rows.length ? [make("h3", {}, one.drawn > one.rows.length ? `${one.rows.length} of ${many(one.drawn, "row")} drawn from it` : `${many(one.drawn, "row")} drawn from it`),
      one.rows.map(([id, question, solution, answer]) => [prose(question), solution ? prose(solution) : null, make("p", { class: "soft" }, "answer: ", answer, " ", make("code", {}, id))])] : [],
    part("Held-out items of the skill that were fixed", changed("fixed")), part("Held-out items of the skill that were broken", changed("broken")),
    part("Other items of the skill", like.filter((place) => !SHOWS.fixed(data.items[place]) && !SHOWS.broken(data.items[place]))),
  ];
}

const itemLink = (place) => [verdicts(data.items[place]), make("a", { href: address({ item: data.items[place][ID], lesson: "" }), dir: "auto" }, begin(data.items[place]))];

const SYNTAX = /(?<c>#[^\n]*)|(?<s>\b[rbfRBF]{0,2}(?:'''[\s\S]*?'''|"""[\s\S]*?"""|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*")|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*")|(?<m>\b\d[\d_.]*)|\b(?<k>and|as|assert|break|class|continue|def|del|elif|else|except|finally|for|from|global|if|import|in|is|lambda|None|not|or|pass|raise|return|True|False|try|while|with|yield)\b/g;

function python(source) {
  const node = make("pre", { class: "code" });
  let end = 0;
  for (const hit of source.matchAll(SYNTAX)) {
    put(node, source.slice(end, hit.index));
    node.append(make("b", { class: Object.entries(hit.groups).find(([, text]) => text)[0] }, hit[0]));
    end = hit.index + hit[0].length;
  }
  return put(node, source.slice(end));
}

// ---- what two answers do not share: the longest common subsequence of their words

const SPLIT = /\s+|[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]|[\p{L}\p{N}\p{M}_]+|[^]/gu;

// of both texts parts as [text, whether the other lacks it]; null where one is missing, or both are equal
function marks(before, after) {
  if (before === undefined || after === undefined || before === after || state.before === state.after) return [null, null];
  const a = before.match(SPLIT) || [], b = after.match(SPLIT) || [];
  let head = 0, tail = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  const x = a.slice(head, a.length - tail), y = b.slice(head, b.length - tail), [inX, inY] = shared(x, y);
  const parts = (all, inside, kept) => joined([...all.slice(0, head).map((word) => [word, false]), ...inside.map((word, place) => [word, !kept[place]]), ...all.slice(all.length - tail).map((word) => [word, false])]);
  return [parts(a, x, inX), parts(b, y, inY)];
}

function shared(x, y) {
  const inX = x.map(() => false), inY = y.map(() => false), width = y.length + 1;
  if (x.length * y.length > MOST) return [inX, inY];
  const best = new Uint16Array((x.length + 1) * width);
  for (let i = x.length - 1; i >= 0; i--) for (let j = y.length - 1; j >= 0; j--)
    best[i * width + j] = x[i] === y[j] ? best[(i + 1) * width + j + 1] + 1 : Math.max(best[(i + 1) * width + j], best[i * width + j + 1]);
  for (let i = 0, j = 0; i < x.length && j < y.length;)
    if (x[i] === y[j]) inX[i++] = inY[j++] = true; else best[(i + 1) * width + j] >= best[i * width + j + 1] ? i++ : j++;
  return [inX, inY];
}

// neighbours of a kind as one part; a blank between two marked words is marked with them
function joined(parts) {
  const out = [];
  parts.forEach(([text, mark], place) => {
    if (!text.trim() && parts[place - 1]?.[1] && parts[place + 1]?.[1]) mark = true;
    if (out.length && out.at(-1)[1] === mark) out.at(-1)[0] += text; else out.push([text, mark]);
  });
  return out;
}

// ---- texts that a server holds

const loaded = new Map();

function ask(what, then) {
  fetch(`${what}&of=${data.served}`).then((answer) => { if (!answer.ok) throw new Error(answer.status); return answer.json(); }).then(then)
    .catch((error) => show([back(), make("p", {}, error.message === "409" ? "The run has gone on since this page was loaded: load it again." :
      "`errata view` does not answer any more: start it again, and open the address that it prints.")]));
}

function texts(place, then) {
  if (!data.served) return then(data.items[place][TEXTS]);
  if (loaded.has(place)) return then(loaded.get(place));
  const wanted = state.item;
  ask("item?n=" + place, (inside) => { loaded.set(place, inside); if (state.item === wanted) then(inside); });
}

// ---- the keyboard

function move(by) {
  const here = found.indexOf(byId.get(state.item)), next = found[here < 0 ? (by > 0 ? 0 : found.length - 1) : here + by];
  if (next === undefined) return;
  const index = found.indexOf(next);
  while (index >= drawn) more();
  while (index < first) earlier();
  go({ item: data.items[next][ID], lesson: "" });
  reveal("nearest");
}

const KEYS = {
  j: () => move(1), k: () => move(-1), l: () => go({ item: "", lesson: "" }), x: () => go({ ...usual(), item: state.item, lesson: state.lesson }),
  "?": () => at("help").showModal(), "/": () => { if (document.body.classList.contains("one") && innerWidth <= 832) go({ item: "", lesson: "" }); at("search").focus(); at("search").select(); },
};

addEventListener("keydown", (event) => {
  if (event.key === "Escape") at("search").blur();
  if (event.ctrlKey || event.metaKey || event.altKey || /^(input|select|textarea)$/i.test(event.target.tagName) || at("help").open) return;
  if (KEYS[event.key]) { event.preventDefault(); KEYS[event.key](); }
});

let typing;
at("search").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(() => go({ q: at("search").value.trim() }), data.served ? 300 : 80); });
at("filters").addEventListener("submit", (event) => event.preventDefault());
at("items").addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) { event.preventDefault(); go({ item: link.dataset.item, lesson: "" }, false); }
});
at("earlier").addEventListener("click", earlier);
addEventListener("hashchange", draw);
addEventListener("popstate", draw);
const near = () => { const list = at("list"), whole = document.scrollingElement; if (drawn < found.length && (list.scrollHeight > list.clientHeight + 2 ? list.scrollHeight - list.scrollTop - list.clientHeight : whole.scrollHeight - whole.scrollTop - innerHeight) < 600) more(); };
at("list").addEventListener("scroll", near);
addEventListener("scroll", near);
new ResizeObserver(() => document.documentElement.style.setProperty("--top", `${document.querySelector("header").offsetHeight}px`)).observe(document.querySelector("header"));

document.title = `Errata: ${data.title}`;
put(at("title"), data.title);
at("notes").append(...data.notes.map((note) => make("p", { class: note.now ? "now" : "soft" }, note.text)));
draw();

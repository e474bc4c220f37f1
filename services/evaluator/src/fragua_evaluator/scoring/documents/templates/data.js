// What the page carries, and how its texts become elements. Everything that a model, a dataset or a person wrote is set
// as text, never as HTML.
//
// data: evaluation, report (digest), seed, arms (names), pair (two places in `arms`), suites (kind, metric), total, items.
// item: draw (its place in the draw), suite, id, tag, messages ([role, text]), earlier (messages left out), expected,
//       choices, arms (by place; null where the arm has nothing).
// arm of an item: scores (value, components, failure), checks, answers (repeats, text, ending, tokens, failure, choices,
//       logLikelihood). A text that was cut is {text, chars}.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const counted = new Intl.NumberFormat("en");

/** An element with attributes, listeners (`onclick`) and children; strings become text. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** A name that somebody chose: its direction does not spill over. */
const named = (text) => element("bdi", {}, text);

const labelOf = (item) => (Object.keys(data.suites).length > 1 ? `${item.suite}/${item.id}` : item.id);

const wholeText = (value) => (typeof value === "string" ? value : value.text);

/** A text as it was written, and how much of it was cut. */
function prose(value) {
  const text = element("div", { class: "text", dir: "auto" }, wholeText(value));
  if (typeof value === "string") return [text];
  const cut = `Cut here: ${counted.format(wholeText(value).length)} of ${counted.format(value.chars)} characters.`;
  return [text, element("p", { class: "cut" }, cut)];
}

function block(title, value) {
  return element("div", { class: "block" }, element("h4", {}, title), prose(value));
}

const failedArm = (result) =>
  !result ||
  result.answers.some((answer) => answer.ending === "failed") ||
  Object.values(result.scores).some((score) => score.failure);

/** The score that arms are compared by; null where there is none. */
function scoreOf(item, arm) {
  const score = item.arms[arm]?.scores[data.suites[item.suite]?.metric];
  return score ? score.value : null;
}

function changeOf(item, from, to) {
  if (from === to) return null;
  const before = scoreOf(item, from);
  const after = scoreOf(item, to);
  return before === null || after === null ? null : after - before;
}

/** `improved`, `worsened` or `tied`; scores that differ by rounding only are tied. */
function resultOf(change) {
  if (change === null) return "";
  if (Math.abs(change) < 1e-9) return "tied";
  return change > 0 ? "improved" : "worsened";
}

const written = (value, digits = 3) => (value === null ? "–" : value.toFixed(digits).replace("-", "−"));
const signed = (value) => (value === null ? "–" : (value > 1e-9 ? "+" : "") + written(Math.abs(value) < 1e-9 ? 0 : value));

/** A stable number from texts: it shuffles A and B the same way whenever the page is opened. */
function hash(...parts) {
  let state = 2166136261;
  for (const unit of new TextEncoder().encode(JSON.stringify(parts))) state = Math.imul(state ^ unit, 16777619);
  state = Math.imul(state ^ (state >>> 16), 2246822507);
  state = Math.imul(state ^ (state >>> 13), 3266489909);
  return (state ^ (state >>> 16)) >>> 0;
}

/** A labelled select; `options` are [value, text] pairs. */
function choice(label, id, options, value, onchange) {
  const select = element("select", { id, onchange: (event) => onchange(event.target.value) });
  for (const [key, text] of options) select.append(element("option", { value: key }, text));
  select.value = String(value);
  return element("label", {}, label, select);
}

function radios(legend, name, options, value, onchange) {
  const labels = options.map(([key, text]) =>
    element("label", {}, element("input", { type: "radio", name, value: key, checked: key === value, onchange: () => onchange(key) }), text),
  );
  return element("fieldset", {}, element("legend", {}, legend), labels);
}

const armOptions = () => data.arms.map((arm, place) => [String(place), arm]);

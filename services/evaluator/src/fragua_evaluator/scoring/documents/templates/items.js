// The view of all items: filters, a table that shows one page of them at a time, and each item's answers on demand.

const ROWS_PER_PAGE = 50;
const filter = { search: "", suite: "", tag: "", result: "", from: data.pair[0], to: data.pair[1], order: "file", page: 0 };
const MANY_ARMS = 4;
const RESULTS = { improved: "▲ improved", worsened: "▼ worsened", tied: "= tied" };
const ORDERS = {
  file: null,
  losses: (a, b) => (a.change ?? Infinity) - (b.change ?? Infinity),
  gains: (a, b) => (b.change ?? -Infinity) - (a.change ?? -Infinity),
  lowest: (a, b) => (a.score ?? Infinity) - (b.score ?? Infinity),
};

const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

/** Everything of an item that can be searched, without accents and capitals; worked out when first needed. */
function haystack(item) {
  item.haystack ??= plain(
    [
      `${item.suite}/${item.id}`,
      item.tag,
      ...item.messages.map((message) => wholeText(message[1])),
      wholeText(item.expected),
      ...(item.choices ?? []).map(wholeText),
      ...item.arms.flatMap((result) => (result ? result.answers.map((answer) => wholeText(answer.failure ?? answer.text)) : [])),
    ].join("\n"),
  );
  return item.haystack;
}

function foundItems() {
  const words = plain(filter.search).split(/\s+/).filter(Boolean);
  const found = [];
  for (const item of data.items) {
    if (filter.suite && item.suite !== filter.suite) continue;
    if (filter.tag && item.tag !== filter.tag) continue;
    const failed = failedArm(item.arms[filter.from]) || failedArm(item.arms[filter.to]);
    const change = changeOf(item, filter.from, filter.to);
    const result = resultOf(change);
    if (filter.result === "failed" ? !failed : filter.result && result !== filter.result) continue;
    if (words.length && !words.every((word) => haystack(item).includes(word))) continue;
    found.push({ item, change, result, failed, score: scoreOf(item, filter.to) });
  }
  if (ORDERS[filter.order]) found.sort(ORDERS[filter.order]);
  return found;
}

function showItems() {
  const found = foundItems();
  const pages = Math.max(1, Math.ceil(found.length / ROWS_PER_PAGE));
  filter.page = Math.min(filter.page, pages - 1);
  const first = filter.page * ROWS_PER_PAGE;
  const shown = found.slice(first, first + ROWS_PER_PAGE);
  const range = shown.length ? `${counted.format(first + 1)}–${counted.format(first + shown.length)} of ` : "";
  byId("found").textContent = `${range}${counted.format(found.length)} ${found.length === 1 ? "item" : "items"}`;
  byId("table").replaceChildren(headOfItems(), element("tbody", {}, shown.map(rowOf)));
  const turn = (pages_) => () => {
    filter.page += pages_;
    showItems();
    byId("items").scrollIntoView();
  };
  byId("pager").replaceChildren(
    element("button", { type: "button", disabled: filter.page === 0, onclick: turn(-1) }, "← Previous page"),
    element("span", {}, `Page ${filter.page + 1} of ${pages}`),
    element("button", { type: "button", disabled: filter.page >= pages - 1, onclick: turn(1) }, "Next page →"),
  );
}

/** Of many arms the table has room for the two that are compared. */
function armsInTable() {
  const all = data.arms.map((_, place) => place);
  return all.length > MANY_ARMS ? all.filter((place) => place === filter.from || place === filter.to) : all;
}

function headOfItems() {
  const number = { scope: "col", class: "number" };
  return element(
    "thead",
    {},
    element(
      "tr",
      {},
      element("th", { scope: "col" }, "Item"),
      element("th", { scope: "col" }, "Tag"),
      element("th", { scope: "col" }, "Question"),
      armsInTable().map((arm) => element("th", number, named(data.arms[arm]))),
      element("th", number, "Change"),
      element("th", { scope: "col" }, "Result"),
    ),
  );
}

function rowOf({ item, change, result, failed }) {
  const question = item.messages.length ? wholeText(item.messages.at(-1)[1]) : "";
  const opener = element("button", { type: "button", class: "plain", "aria-expanded": "false" }, named(labelOf(item)));
  const row = element(
    "tr",
    {},
    element("th", { scope: "row" }, opener),
    element("td", {}, named(item.tag)),
    element("td", { class: "excerpt", dir: "auto" }, question.slice(0, 160).replace(/\s+/g, " ")),
    armsInTable().map((arm) => element("td", { class: "number" }, written(scoreOf(item, arm)))),
    element("td", { class: "number" }, signed(change)),
    element(
      "td",
      { class: "result" },
      element("span", { class: result }, RESULTS[result] ?? "–"),
      failed ? [" ", element("span", { class: "failed" }, "! failed")] : [],
    ),
  );
  opener.addEventListener("click", () => {
    const open = row.classList.toggle("open");
    opener.setAttribute("aria-expanded", String(open));
    if (open) row.after(element("tr", { class: "detail" }, element("td", { colspan: armsInTable().length + 5 }, element("div", { class: "detail-body" }, detailOf(item)))));
    else row.nextElementSibling.remove();
  });
  return row;
}

function detailOf(item) {
  const earlier = item.earlier ? [element("p", { class: "cut" }, `${item.earlier} earlier messages are not shown.`)] : [];
  return [
    ...earlier,
    item.messages.map(([role, text]) => block(role, text)),
    item.choices ? choicesOf(item) : [],
    element(
      "div",
      { class: "answers" },
      wholeText(item.expected) ? element("div", { class: "answer expected" }, element("h4", {}, "expected"), prose(item.expected)) : [],
      data.arms.map((arm, place) => answersOf(arm, item.arms[place], item)),
    ),
  ].flat();
}

function choicesOf(item) {
  const list = item.choices.map((text) => element("li", { class: "text", dir: "auto" }, wholeText(text)));
  return element("div", { class: "block" }, element("h4", {}, "choices"), element("ol", {}, list));
}

function answersOf(arm, result, item) {
  const shown = element("div", { class: "answer" }, element("h4", {}, named(arm)));
  if (!result) {
    shown.append(element("p", { class: "ending failed" }, "This arm has no answer to this item."));
    return shown;
  }
  for (const answer of result.answers) {
    if (result.answers.length > 1) shown.append(element("p", { class: "repeats" }, `Repeat ${answer.repeats.join(", ")}`));
    shown.append(...answerOf(answer, item));
  }
  if (result.answers.length === 1 && result.answers[0].repeats.length > 1)
    shown.append(element("p", { class: "repeats" }, `The same in all ${result.answers[0].repeats.length} repeats.`));
  shown.append(scoresOf(result));
  return shown;
}

const ENDINGS = { length: "Cut at the limit of new tokens.", failed: "No answer." };

/** One answer: its text, or what stands in place of one. */
function answerOf(answer, item) {
  const shown = [];
  if (answer.choices) {
    const likeliest = answer.choices.indexOf(Math.max(...answer.choices));
    const lines = answer.choices.map((value, place) =>
      element("li", place === likeliest ? { class: "strong" } : {}, `${written(value, 2)}${place === likeliest ? " ← likeliest" : ""}`),
    );
    shown.push(element("h4", {}, "log-likelihood of each choice"), element("ol", {}, lines));
  } else if (answer.logLikelihood !== undefined) {
    shown.push(element("p", {}, `Log-likelihood of the expected answer: ${written(answer.logLikelihood, 2)}, ${answer.tokens} tokens`));
  } else if (answer.ending !== "failed" || wholeText(answer.text)) {
    shown.push(...prose(wholeText(answer.text) ? answer.text : "(an empty answer)"));
  }
  if (answer.failure) shown.push(...prose(answer.failure));
  if (ENDINGS[answer.ending] && item) shown.push(element("p", { class: `ending ${answer.ending}` }, ENDINGS[answer.ending]));
  return shown;
}

function scoresOf(result) {
  const rows = [];
  const add = (name, value, kind, note) =>
    rows.push(element("tr", { class: kind }, element("th", { scope: "row" }, named(name)), element("td", { class: "number" }, written(value)), element("td", {}, note ? prose(note) : [])));
  for (const [name, score] of Object.entries(result.scores)) {
    add(name, score.value, "", score.failure);
    for (const [part, value] of Object.entries(score.components ?? {})) add(part, value, "part");
  }
  const checks = Object.entries(result.checks);
  if (checks.length) rows.push(element("tr", {}, element("th", { scope: "row" }, "checks")));
  for (const [name, value] of checks) add(name, value, "part");
  return element("table", { class: "scores" }, element("tbody", {}, rows));
}

function showFilters() {
  const set = (name) => (value) => {
    filter[name] = name === "from" || name === "to" ? Number(value) : value;
    filter.page = 0;
    showItems();
  };
  let waiting;
  const search = element("input", {
    type: "search",
    id: "search",
    placeholder: "questions, answers, ids",
    oninput: (event) => {
      clearTimeout(waiting);
      waiting = setTimeout(() => set("search")(event.target.value), 120);
    },
  });
  const values = (name) => [...new Set(data.items.map((item) => item[name]))].filter(Boolean).sort().map((value) => [value, value]);
  const form = byId("filters");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.append(
    element("label", {}, "Search", search),
    choice("Suite", "suite", [["", "all"], ...values("suite")], "", set("suite")),
    choice("Tag", "tag", [["", "all"], ...values("tag")], "", set("tag")),
    choice("Result", "result", [["", "all"], ["improved", "improved"], ["worsened", "worsened"], ["tied", "tied"], ["failed", "failed"]], "", set("result")),
    choice("Change from", "from", armOptions(), filter.from, set("from")),
    choice("to", "to", armOptions(), filter.to, set("to")),
    choice("Order", "order", [["file", "as asked"], ["losses", "largest losses"], ["gains", "largest gains"], ["lowest", "lowest scores"]], "file", set("order")),
  );
}

/** Shows one item alone, from a link in the report. */
function findItem(name) {
  const reset = { search: name, suite: "", tag: "", result: "", page: 0 };
  Object.assign(filter, reset);
  for (const field of ["search", "suite", "tag", "result"]) byId(field).value = reset[field];
  showItems();
}

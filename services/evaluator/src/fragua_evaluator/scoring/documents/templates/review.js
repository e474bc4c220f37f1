// The side-by-side view: two answers to one item, A and B in an order that the seed shuffles, and a vote on them. Names
// are hidden until the reviewer asks for them; votes that were cast before cannot be changed after.

const SAMPLE = 10;
const review = { pair: [...data.pair], scope: "sample", names: "end", at: 0 };

const chosenArms = () => review.pair.map((place) => data.arms[place]);
const isRevealed = (arms) => Boolean(kept.revealed[pairKey(arms)]);

function firstAnswer(item, arm) {
  return item.arms[data.arms.indexOf(arm)]?.answers[0] ?? null;
}

/** Answers that are one and the same leave nothing to choose; cut ones may differ further on. */
function isWorthAVote(item, arms) {
  if (data.suites[item.suite]?.kind !== "generation") return false;
  const [one, other] = arms.map((arm) => firstAnswer(item, arm));
  if (!one || !other) return false;
  const whole = typeof one.text === "string" && typeof other.text === "string";
  return !(whole && one.text === other.text && one.ending === other.ending);
}

/** Those to vote on, in the order of the draw, so that the ten of the sample come first among all. */
function ballotItems() {
  const arms = chosenArms();
  if (arms[0] === arms[1]) return [];
  const worth = data.items.filter((item) => isWorthAVote(item, arms)).sort((a, b) => a.draw - b.draw);
  return review.scope === "sample" ? worth.slice(0, SAMPLE) : worth;
}

function namesAreShown(item) {
  const arms = chosenArms();
  return isRevealed(arms) || (review.names === "each" && Boolean(kept.votes[voteKey(item, arms)]));
}

function cast(item, preferred) {
  const arms = chosenArms();
  const key = voteKey(item, arms);
  if (kept.votes[key] && namesAreShown(item)) return;
  const [left, right] = shuffled(item, arms);
  kept.votes[key] = {
    suite: item.suite,
    item: item.id,
    left,
    right,
    preferred,
    blind: !isRevealed(arms),
    note: kept.votes[key]?.note ?? "",
    cast_at: new Date().toISOString(),
  };
  keepVotes();
}

function showReview() {
  const items = ballotItems();
  review.at = Math.min(review.at, Math.max(0, items.length - 1));
  const item = items[review.at];
  showPlace(item, items);
  byId("stage").replaceChildren(...(item ? stageOf(item, items) : [nothingToCompare()]));
  showBallot(items);
}

/** Said aloud by screen readers whenever it changes. */
function showPlace(item, items) {
  if (!item) return byId("place").replaceChildren();
  const voted = items.filter((one) => kept.votes[voteKey(one, chosenArms())]).length;
  byId("place").replaceChildren(
    element("strong", {}, `Item ${review.at + 1} of ${items.length}`),
    element("span", { class: "quiet" }, named(labelOf(item))),
    element("span", { class: "quiet" }, `${voted} voted`),
  );
}

function nothingToCompare() {
  const [one, other] = chosenArms();
  if (data.arms.length < 2) return element("p", { class: "note" }, "One arm alone was measured: there is nothing to compare it with.");
  const why = one === other ? "Choose two different arms." : "No generated answers of these two arms differ, so there is nothing to choose.";
  return element("p", { class: "note" }, why);
}

function stageOf(item, items) {
  const arms = chosenArms();
  const vote = kept.votes[voteKey(item, arms)];
  const shown = namesAreShown(item);
  const sides = shuffled(item, arms);
  const panel = (arm, letter, side) =>
    element(
      "section",
      { class: vote?.preferred === side ? "answer chosen" : "answer", "aria-label": `Answer ${letter}` },
      element("h3", {}, element("span", { class: "letter" }, letter), element("span", { class: "arm" }, shown ? named(arm) : [])),
      answerOf(firstAnswer(item, arm), item),
    );
  const before = item.messages.slice(0, -1);
  return [
    before.length ? element("details", {}, element("summary", {}, "What stands before the question"), before.map(([role, text]) => block(role, text))) : null,
    element("div", { class: "question" }, prose(item.messages.length ? item.messages.at(-1)[1] : "")),
    wholeText(item.expected) ? element("details", {}, element("summary", {}, "Expected answer"), element("div", { class: "question" }, prose(item.expected))) : null,
    element("div", { class: "pair" }, panel(sides[0], "A", "left"), panel(sides[1], "B", "right")),
    noteOf(item, vote, shown),
    voteBar(item, items, vote, Boolean(vote) && shown),
  ].filter(Boolean);
}

function noteOf(item, vote, locked) {
  if (!vote) return null;
  const write = (event) => {
    vote.note = event.target.value;
    keepVotes();
  };
  const input = element("input", { id: "note", maxlength: "2000", oninput: write, readonly: locked });
  input.value = vote.note;
  return element("div", { class: "filters" }, element("label", {}, "Why (may be left empty)", input));
}

function voteBar(item, items, vote, locked) {
  const choose = (preferred, text, key) =>
    element(
      "button",
      { type: "button", "data-vote": preferred, "aria-pressed": String(vote?.preferred === preferred), disabled: locked, onclick: () => decide(item, preferred) },
      text,
      element("kbd", {}, key),
    );
  return element(
    "div",
    { class: "vote-bar" },
    element("button", { type: "button", class: "step", id: "previous", disabled: review.at === 0, onclick: () => move(-1) }, "← Previous"),
    choose("left", "A is better", "A"),
    choose("tie", "Equally good", "T"),
    choose("right", "B is better", "B"),
    element("button", { type: "button", class: "step", id: "next", disabled: review.at >= items.length - 1, onclick: () => move(1) }, "Next →"),
  );
}

/** Focus stays within the view, so that the keys go on working. */
function redraw() {
  showReview();
  byId("stage").focus({ preventScroll: true });
}

function decide(item, preferred) {
  cast(item, preferred);
  redraw();
}

function move(steps) {
  const last = ballotItems().length - 1;
  review.at = Math.min(last, Math.max(0, review.at + steps));
  redraw();
}

function showBallot(items) {
  const arms = chosenArms();
  const votes = Object.values(kept.votes).filter((vote) => pairKey([vote.left, vote.right]) === pairKey(arms));
  const open = items.filter((item) => !kept.votes[voteKey(item, arms)]).length;
  const parts = [];
  if (isRevealed(arms)) parts.push(element("h2", {}, "What was preferred"), tallyOf(arms, votes));
  else if (votes.length)
    parts.push(
      element("p", { class: "note" }, open ? `${open} of these items have no vote yet. After the names are shown, votes cast before cannot be changed, and later ones do not count as blind.` : "All of these items have your vote."),
      element("button", { type: "button", id: "reveal", class: open ? undefined : "main", onclick: () => reveal(arms) }, "Show the names"),
    );
  const reviewer = element("input", { id: "reviewer", maxlength: "200", autocomplete: "name", oninput: (event) => { kept.reviewer = event.target.value; keepVotes(); } });
  reviewer.value = kept.reviewer;
  if (Object.keys(kept.votes).length)
    parts.push(
      element("div", { class: "filters" }, element("label", {}, "Your name", reviewer), element("button", { type: "button", id: "download", onclick: downloadVotes }, "Download the votes")),
      element("p", { class: "note" }, "Hand the file in with ", element("code", {}, "fragua eval vote FILE"), storageWorks ? ". Until then the votes stay in this browser." : ". This browser keeps nothing: download before you close the page."),
    );
  byId("ballot").replaceChildren(...parts);
}

function reveal(arms) {
  kept.revealed[pairKey(arms)] = new Date().toISOString();
  keepVotes();
  redraw();
}

function tallyOf(arms, votes) {
  const preferred = (vote) => ({ left: vote.left, right: vote.right, tie: null })[vote.preferred];
  const rows = [...arms, null].map((arm) => {
    const of = votes.filter((vote) => preferred(vote) === arm);
    const blind = of.filter((vote) => vote.blind).length;
    return element("tr", {}, element("th", { scope: "row" }, arm === null ? "equally good" : named(arm)), element("td", { class: "number" }, String(of.length)), element("td", { class: "number" }, String(blind)));
  });
  const head = element("tr", {}, element("td", {}), element("th", { scope: "col", class: "number" }, "Votes"), element("th", { scope: "col", class: "number" }, "Of them blind"));
  return element("table", { class: "tally", id: "tally" }, element("thead", {}, head), element("tbody", {}, rows));
}

function showReviewSettings() {
  const set = (change) => {
    change();
    review.at = 0;
    showReview();
  };
  byId("review-settings").replaceChildren(
    ...(data.arms.length > 2
      ? [0, 1].map((side) => choice(side ? "and" : "Compare", `pair-${side}`, armOptions(), review.pair[side], (value) => set(() => (review.pair[side] = Number(value)))))
      : []),
    radios("Items", "scope", [["sample", `${SAMPLE} drawn by the seed`], ["all", "all"]], review.scope, (value) => set(() => (review.scope = value))),
    radios("Names", "names", [["end", "when I am done"], ["each", "after each vote"]], review.names, (value) => set(() => (review.names = value))),
  );
}

const KEYS = { a: "left", b: "right", t: "tie" };

/** Only while the focus is in the view and not where one types. */
function pressed(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("input:not([type=radio]), select, textarea")) return;
  const item = ballotItems()[review.at];
  if (!item) return;
  const preferred = KEYS[event.key.toLowerCase()];
  if (preferred) decide(item, preferred);
  else if (event.key === "ArrowLeft" && event.target.type !== "radio") move(-1);
  else if (event.key === "ArrowRight" && event.target.type !== "radio") move(1);
  else return;
  event.preventDefault();
}

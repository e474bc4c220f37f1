// The votes of this browser: kept in its local storage under the digest of the report, given away as a file.

const VOTES_FORMAT = "fragua.votes/1";
const storageKey = `fragua.votes/1:${data.report}`;
const kept = restoreVotes();
let storageWorks = true;

/** {reviewer, votes: by key, revealed: by pair}. Foreign or damaged contents are left alone and not used. */
function restoreVotes() {
  const empty = { reviewer: "", votes: {}, revealed: {} };
  try {
    const found = JSON.parse(localStorage.getItem(storageKey) ?? "null");
    const whole = found && typeof found.votes === "object" && typeof found.revealed === "object";
    return whole ? { ...empty, ...found } : empty;
  } catch {
    return empty;
  }
}

function keepVotes() {
  try {
    localStorage.setItem(storageKey, JSON.stringify(kept));
    storageWorks = true;
  } catch {
    storageWorks = false;
  }
}

const pairKey = (arms) => JSON.stringify([...arms].sort());
const voteKey = (item, arms) => JSON.stringify([item.suite, item.id, ...[...arms].sort()]);

/** Left and right, as the seed shuffles them for this item. */
function shuffled(item, arms) {
  const sorted = [...arms].sort();
  return hash(data.seed, item.suite, item.id, sorted) & 1 ? sorted : sorted.reverse();
}

function votesFile() {
  return {
    format: VOTES_FORMAT,
    evaluation: data.evaluation,
    report: data.report,
    reviewer: kept.reviewer,
    seed: data.seed,
    votes: Object.values(kept.votes),
  };
}

function downloadVotes() {
  const content = new Blob([JSON.stringify(votesFile(), null, 2) + "\n"], { type: "application/json" });
  const url = URL.createObjectURL(content);
  const name = `votes-${data.evaluation.split("/").at(-1) || data.report.slice(0, 12)}.json`;
  const link = element("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

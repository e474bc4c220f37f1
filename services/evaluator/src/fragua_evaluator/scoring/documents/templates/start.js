// Puts the views together: which one is shown follows the address, so that the browser's way back works.

const VIEWS = ["report", "items", "review"];
const FIRST_SHOWN = {
  items: () => {
    showFilters();
    showItems();
  },
  review: () => {
    showReviewSettings();
    byId("review").addEventListener("keydown", pressed);
    showReview();
  },
};

function prepare(view) {
  FIRST_SHOWN[view]?.();
  delete FIRST_SHOWN[view];
}

function showView() {
  const asked = location.hash.slice(1);
  const view = VIEWS.includes(asked) ? asked : "report";
  prepare(view);
  for (const one of VIEWS) byId(one).hidden = one !== view;
  for (const link of document.querySelectorAll("nav a[data-view]")) {
    if (link.dataset.view === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  window.scrollTo(0, 0);
  // The keys of the side-by-side view work from the start.
  byId(view === "review" ? "stage" : view).focus({ preventScroll: true });
}

for (const link of document.querySelectorAll("a[data-item]")) {
  link.addEventListener("click", () => {
    prepare("items");
    findItem(link.dataset.item);
  });
}
window.addEventListener("hashchange", showView);
// On paper nothing can be unfolded.
window.addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("#report details")) folded.open = true;
});
if (VIEWS.includes(location.hash.slice(1))) showView();

// The tree stays unfolded where it was: moving a unit reloads the page, and would close it.

const KEY = "units-unfolded";
const table = document.getElementById("result_list");

if (table && document.getElementById("tree-context")) {
  const unfolded = new Set(JSON.parse(sessionStorage.getItem(KEY) ?? "[]"));
  table.addEventListener("click", (event) => {
    const row = event.target.closest("a.treebeard-collapse")?.closest("tr");
    if (row) remember(unfolded, row.dataset.nodeId, event.target.classList.contains("treebeard-collapsed"));
  }, true);
  // The tree script puts the folds into the rows when the page is ready, and rows in when their parent unfolds.
  const renew = () => { unfold(unfolded); nameFolds(); };
  new MutationObserver(renew).observe(table.tBodies[0], { childList: true, subtree: true, attributeFilter: ["class"] });
  renew();
}

/** A fold is a picture: to who cannot see it, it has the name of its unit and says whether it is open. */
function nameFolds() {
  for (const fold of table.querySelectorAll("a.treebeard-collapse")) {
    fold.setAttribute("aria-label", fold.closest("tr").querySelector(".field-name a:not(.treebeard-collapse)")?.textContent ?? "");
    fold.setAttribute("aria-expanded", String(!fold.classList.contains("treebeard-collapsed")));
  }
}

function remember(unfolded, id, opens) {
  opens ? unfolded.add(id) : unfolded.delete(id);
  sessionStorage.setItem(KEY, JSON.stringify([...unfolded]));
}

function unfold(unfolded) {
  for (const row of table.tBodies[0].rows) {
    const fold = row.querySelector("a.treebeard-collapsed");
    if (fold && unfolded.has(row.dataset.nodeId) && !row.dataset.unfolding) {
      row.dataset.unfolding = "1";
      fold.click();
    }
  }
}

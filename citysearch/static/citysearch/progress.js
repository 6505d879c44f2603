// Bars that move: every element with data-progress asks its address for itself until all its work has ended.
// Leaving the page changes nothing: the work is a worker's, and the page that is opened later asks again.

const EVERY_MS = 1000;
const SLOW_MS = 5000;

for (const element of document.querySelectorAll("[data-progress]")) watch(element);

async function watch(element) {
  const first = new Map();
  if (!element.querySelector("[data-total]")) await renew(element);
  while (!ended(element)) {
    tellTimes(element, first);
    await pause(document.hidden ? SLOW_MS : EVERY_MS);
    await renew(element);
    // What the page says besides its bars is about the first work: once that has ended, there is more to say.
    if (element.dataset.then === "reload" && "ended" in element.querySelector(".work").dataset) return location.reload();
  }
}

function ended(element) {
  return !element.querySelector(".work:not([data-ended])");
}

/** The server may be away for a moment: the bars stay as they are and say so. */
async function renew(element) {
  try {
    const answer = await fetch(element.dataset.progress, { credentials: "same-origin", redirect: "error" });
    if (!answer.ok) throw new Error(answer.status);
    element.innerHTML = await answer.text();
    element.classList.remove("work-waits");
  } catch {
    element.classList.add("work-waits");
    await pause(SLOW_MS);
  }
}

function tellTimes(element, first) {
  for (const [index, work] of [...element.querySelectorAll(".work")].entries()) {
    const [done, total, now] = [Number(work.dataset.done), Number(work.dataset.total), performance.now()];
    if (!first.has(index) && done) first.set(index, { done, now });
    const since = first.get(index);
    if (!since || done <= since.done || "ended" in work.dataset) continue;
    const seconds = ((total - done) * (now - since.now)) / 1000 / (done - since.done);
    const left = work.querySelector(".work-left");
    left.textContent = left.dataset.words.replace("%(time)s", clock(Math.max(1, Math.round(seconds))));
  }
}

function clock(seconds) {
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

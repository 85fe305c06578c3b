
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Filter: what fits neither severity, rule nor text is hidden.
  const filter = document.querySelector(".filter");
  if (filter) {
    const boxes = all("input[type=checkbox]", filter);
    const rule = document.getElementById("rule");
    const words = document.getElementById("words");
    const shown = document.getElementById("shown");
    const entries = all(".findings:not(.quiet .findings) > .finding").map((element) => (
      {element, text: element.textContent.toLowerCase()}
    ));
    const apply = () => {
      const levels = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
      const wanted = words.value.trim().toLowerCase();
      let count = 0;
      for (const {element, text} of entries) {
        const fits = levels.has(element.dataset.severity)
          && (!rule.value || element.dataset.code === rule.value)
          && text.includes(wanted);
        element.hidden = !fits;
        count += fits;
      }
      for (const list of all(".findings:not(.quiet .findings)")) {
        const none = list.previousElementSibling;
        none.hidden = [...list.children].some((entry) => !entry.hidden);
      }
      const total = entries.length;
      shown.textContent = count === total
        ? `${total} ${total === 1 ? "finding" : "findings"}`
        : `${count} of ${total} findings`;
    };
    filter.addEventListener("input", apply);
    filter.addEventListener("change", apply);  // not every browser tells of a choice as input
    document.getElementById("reset").addEventListener("click", () => {
      for (const box of boxes) box.checked = true;
      rule.value = "";
      words.value = "";
      apply();
    });
    filter.hidden = false;
    apply();  // a browser may have kept what was chosen before
  }

  // Sort: a button in each head; rows of which nothing is known come last.
  const keyOf = (row, column, number) => {
    const cell = row.cells[column];
    const text = cell.dataset.order ?? cell.textContent.trim();
    if (!number) return text;
    const value = text === "" ? NaN : Number(text);
    return value;
  };
  const sort = (head, column) => {
    const body = head.closest("table").tBodies[0];
    const number = head.classList.contains("number");
    const descending = head.getAttribute("aria-sort") === "ascending";
    const rows = [...body.rows].map((row) => ({row, key: keyOf(row, column, number)}));
    const unknown = ({key}) => (number ? Number.isNaN(key) : key === "" || key === "-");
    const known = rows.filter((entry) => !unknown(entry));
    known.sort((a, b) => (
      number ? a.key - b.key : a.key.localeCompare(b.key, "en", {numeric: true})
    ));
    if (descending) known.reverse();
    body.append(...[...known, ...rows.filter(unknown)].map(({row}) => row));
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
  };
  for (const table of all("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(head, column));
      head.append(button);
    });
  }

  // Unfold what a link leads to, and everything for the printer.
  const unfold = () => {
    const target = document.getElementById(location.hash.slice(1));
    if (!target) return;
    const inner = target.classList.contains("model") ? target.querySelector("details") : target;
    for (let place = inner; place; place = place.parentElement) {
      if (place.tagName === "DETAILS") place.open = true;
    }
    if (target.hidden) document.getElementById("reset").click();
    target.scrollIntoView();
    const place = target.tagName === "DETAILS" ? target.querySelector("summary") : target;
    place.focus({preventScroll: true});
  };
  window.addEventListener("hashchange", unfold);
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href^='#']");
    if (link && link.hash === location.hash) unfold();  // the address stays: no event
  });
  unfold();
  let folded = [];
  window.addEventListener("beforeprint", () => {
    folded = all("details:not([open])");
    for (const place of folded) place.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const place of folded) place.open = false;
  });
})();

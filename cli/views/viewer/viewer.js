"use strict";
// The page of `rinrcodec view`. Texts become text nodes only, never markup.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const last = data.total - 1;
  const byId = (id) => document.getElementById(id);
  const sheet = byId("sheet"), grid = byId("grid"), view = byId("frame");

  // Where frames come from: this page, or its server. A picture is an address, or {problem}.
  const inside = {
    block: async (k) => data.items.slice(k * data.block, (k + 1) * data.block),
    frame: async (n) => data.items[n],
    picture: (n, mode) => data.items[n].pictures[mode],
    thumbnail: (n) => data.items[n].pictures.objects,
  };
  const served = {
    block: (k) => ask(`frames/${k}`),
    frame: (n) => ask(`frame/${n}`),
    picture: (n, mode) => `picture/${n}/${mode}`,
    thumbnail: (n) => `thumbnail/${n}`,
  };
  const source = data.items ? inside : served;

  async function ask(path) {
    const answer = await fetch(path);
    if (!answer.ok) throw new Error(await answer.text());
    return answer.json();
  }

  // Why a picture did not load: its server says so as text.
  async function problemOf(address) {
    try {
      const answer = await fetch(address);
      return answer.ok ? "this browser cannot show the picture" : await answer.text();
    } catch {
      return "the server does not answer: was rinrcodec view ended?";
    }
  }

  function make(tag, attributes = {}, ...children) {
    const svg = ["svg", "rect", "polygon", "path"].includes(tag);
    const element = svg
      ? document.createElementNS("http://www.w3.org/2000/svg", tag)
      : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  const colour = (id) => `k${id % 8}`;

  function drawBoxes(item) {
    const svg = make("svg", {
      viewBox: `0 0 ${item.width} ${item.height}`, preserveAspectRatio: "none", "aria-hidden": "true",
    });
    for (const { box: [x, y, width, height], outlines, points, class: id } of item.boxes) {
      for (const outline of outlines ?? []) {
        svg.append(make("polygon", { points: outline.join(" "), class: colour(id) }));
      }
      if (!outlines) svg.append(make("rect", { x, y, width, height, class: colour(id) }));
      // Short lines with round ends: dots of one size, however the picture is scaled.
      for (const [x, y] of points ?? []) {
        svg.append(make("path", { d: `M${x} ${y}h.01`, class: `point ${colour(id)}` }));
      }
    }
    return svg;
  }

  function classTexts(item) {
    return item.classes.map(([id, name, count]) =>
      make("span", {}, make("span", { class: `dot ${colour(id)}` }),
        count > 1 ? `${name}\u00a0×${count}` : name));
  }

  const inWords = (item) => item.classes.map(([, name, n]) => `${n} ${name}`).join(", ") || "no box";

  // ---- The sheet -------------------------------------------------------------------------------

  function makeTile(item, position) {
    const picture = make("span", { class: "picture" });
    const tile = make("button", { type: "button", class: "tile", "data-position": position }, picture,
      make("span", { class: "name" }, item.name));
    tile.addEventListener("click", () => { location.hash = position + 1; });
    const fail = (text) => picture.replaceChildren(make("span", { class: "problem" }, text));
    if (item.problem) {
      fail(item.problem);
      return tile;
    }
    const address = source.thumbnail(position);
    if (address.problem) {
      fail(address.problem);
      return tile;
    }
    const image = make("img", { loading: "lazy", alt: `${item.name}: ${inWords(item)}` });
    image.addEventListener("error", async () => fail(await problemOf(address)));
    image.src = address;
    const fit = make("span", { class: "fit" }, image, drawBoxes(item));
    const ratio = item.width / item.height;
    fit.style.aspectRatio = ratio;
    fit.style.width = `${Math.min(1, ratio / (4 / 3)) * 100}%`;
    picture.append(fit);
    const classes = make("span", { class: "classes" });
    classTexts(item).forEach((text, i) => classes.append(i ? ", " : "", text));
    tile.append(classes);
    return tile;
  }

  async function fill(block) {
    block.filled ??= (async () => {
      const k = Number(block.dataset.block);
      try {
        const items = await source.block(k);
        block.append(...items.map((item, i) => makeTile(item, k * data.block + i)));
      } catch (error) {
        block.append(make("p", { class: "problem" }, error.message));
      }
      grid.style.setProperty("--row", `${block.firstChild.offsetHeight + 12}px`);
    })();
    return block.filled;
  }

  const near = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      fill(target);
    }
  }, { rootMargin: "600px 0px" });

  for (let first = 0; first < data.total; first += data.block) {
    const block = make("div", { class: "block", "data-block": first / data.block });
    block.style.setProperty("--count", Math.min(data.block, data.total - first));
    grid.append(block);
    near.observe(block);
  }

  async function focusTile(position) {
    const block = grid.children[Math.floor(position / data.block)];
    await fill(block);
    const tile = block.querySelector(`[data-position="${position}"]`);
    tile?.scrollIntoView({ block: "nearest" });
    tile?.focus({ preventScroll: true });
  }

  function moveOnSheet(key) {
    const columns = Number(getComputedStyle(grid).getPropertyValue("--columns"));
    const at = Number(document.activeElement?.dataset.position ?? -1);
    const places = { Home: 0, End: last, ArrowLeft: at - 1, ArrowRight: at + 1,
      ArrowUp: at - columns, ArrowDown: at + columns };
    const to = at < 0 && key !== "End" ? 0 : places[key];
    if (to >= 0 && to <= last) focusTile(to);
    return true;
  }

  // ---- One frame -------------------------------------------------------------------------------

  let current = null;  // the position of the frame that is shown
  let item = null;  // what is known of it
  let wanted = null;  // the picture that is to be shown
  let mode = data.modes[0][0];
  const stage = view.querySelector(".stage");
  const shown = byId("shown"), under = byId("under"), cut = byId("cut"), problem = byId("problem");

  function setState(state, text = "") {
    stage.dataset.state = state;
    problem.textContent = text;
    problem.hidden = !text;
    byId("picture").hidden = Boolean(text);
  }

  async function showFrame(position) {
    sheet.hidden = true;
    view.hidden = false;
    current = position;
    item = wanted = null;
    setState("loading");
    byId("position").textContent = `${position + 1} / ${data.total}`;
    byId("previous").disabled = position === 0;
    byId("next").disabled = position === last;
    let found;
    try {
      found = await source.frame(position);
    } catch (error) {
      found = { name: `frame ${position + 1}`, problem: error.message };
    }
    if (position !== current) return;  // the user has stepped on
    item = found;
    byId("name").textContent = item.name;
    showDetails();
    showPicture();
  }

  function showDetails() {
    byId("sizes").replaceChildren(...(item.sizes ?? []).map(([part, ofFrame, ofPack]) =>
      make("tr", {}, make("th", { scope: "row" }, part), make("td", {}, ofFrame),
        make("td", {}, ofPack))));
    const facts = [...(item.facts ?? [])];
    if (item.boxes) {
      const drawn = item.boxes.length, all = item.n_boxes;
      facts.push(["Boxes", drawn < all ? `${all}, the first ${drawn} are drawn` : `${all}`]);
    }
    byId("facts").replaceChildren(...facts.flatMap(([name, value]) =>
      [make("dt", {}, name), make("dd", {}, value)]));
    byId("classes").replaceChildren(...(item.boxes ? classTexts(item) : []).map((text) =>
      make("li", {}, text)));
  }

  function showPicture() {
    for (const button of view.querySelectorAll("[data-mode]")) {
      button.setAttribute("aria-pressed", button.dataset.mode === mode);
    }
    byId("compare").hidden = mode === "background";
    const address = item.problem ? { problem: item.problem } : source.picture(current, mode);
    if (address.problem) {
      wanted = null;
      setState("failed", address.problem);
      return;
    }
    setState("loading");
    const fit = byId("picture");
    fit.style.aspectRatio = item.width / item.height;
    fit.style.width = `min(100%, ${(72 * item.width) / item.height}vh)`;
    shown.alt = `${item.name}, ${data.modes.find(([name]) => name === mode)[1]}: ${inWords(item)}`;
    shown.src = wanted = address;
    showCut();
    showBoxes();
  }

  function showBoxes() {
    const fit = byId("picture");
    fit.querySelectorAll("svg, .label").forEach((old) => old.remove());
    if (!byId("boxes").checked || !item?.boxes) return;
    fit.append(drawBoxes(item));
    for (const { box: [x, y, width], class: id, label } of item.boxes) {
      const text = make("span", { class: `label ${colour(id)}` }, label);
      if (y / item.height > 0.06) text.classList.add("above");
      text.style.top = `${(100 * y) / item.height}%`;
      // To the side where there is more room.
      if (2 * x + width > 1.2 * item.width) text.style.right = `${100 - (100 * (x + width)) / item.width}%`;
      else text.style.left = `${(100 * x) / item.width}%`;
      fit.append(text);
    }
  }

  function showCut() {
    const percent = mode === "background" ? 0 : Number(cut.value);
    under.hidden = byId("line").hidden = percent === 0;
    byId("line").style.width = `${percent}%`;
    under.style.clipPath = `inset(0 ${100 - percent}% 0 0)`;
    const address = source.picture(current, "background");
    if (percent && !address.problem && under.getAttribute("src") !== address) under.src = address;
  }

  shown.addEventListener("load", () => { if (wanted) setState("ready"); });
  shown.addEventListener("error", async () => {
    const address = wanted;
    const text = address && await problemOf(address);
    if (address && address === wanted) setState("failed", text);
  });
  cut.addEventListener("input", showCut);
  byId("boxes").addEventListener("change", showBoxes);
  byId("back").addEventListener("click", () => { location.hash = ""; });
  byId("previous").addEventListener("click", () => step(current - 1));
  byId("next").addEventListener("click", () => step(current + 1));
  for (const button of view.querySelectorAll("[data-mode]")) {
    button.addEventListener("click", () => setMode(button.dataset.mode));
  }

  function setMode(name) {
    mode = name;
    if (item) showPicture();
  }

  function step(to) {
    if (to >= 0 && to <= last) location.replace(`#${to + 1}`);
  }

  function onFrameKey(key) {
    const places = { ArrowLeft: current - 1, ArrowRight: current + 1, Home: 0, End: last };
    if (key in places) step(places[key]);
    else if (key === "Escape") location.hash = "";
    else if (key === "b" || key === "B") byId("boxes").click();
    else if (data.modes[key - 1]) setMode(data.modes[key - 1][0]);
    else return false;
    return true;
  }

  // ---- Which of the two is shown: the address ends in #3 for the third frame -------------------

  function route() {
    const position = Number(location.hash.slice(1)) - 1;
    if (Number.isInteger(position) && position >= 0 && position <= last) {
      const opened = view.hidden;
      showFrame(position);
      if (opened) byId("name").focus();
      return;
    }
    view.hidden = true;
    sheet.hidden = false;
    if (current !== null) focusTile(current);
    current = item = wanted = null;
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const isSlider = event.target.type === "range" && event.key !== "Escape";
    if (isSlider && !/^[1-9bB]$/.test(event.key)) return;
    const moves = /^(Arrow(Left|Right|Up|Down)|Home|End)$/.test(event.key);
    const done = view.hidden ? moves && moveOnSheet(event.key) : onFrameKey(event.key);
    if (done) event.preventDefault();
  });
  window.addEventListener("hashchange", route);
  route();
})();

"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const make = (tag, properties = {}, ...children) => {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  };
  const root = document.documentElement;

  // -- theme -------------------------------------------------------------------------------
  const theme = document.getElementById("theme");
  const setTheme = (name) => {
    root.dataset.theme = name;
    theme.textContent = name === "dark" ? "Light theme" : "Dark theme";
  };
  setTheme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  theme.hidden = false;
  theme.addEventListener("click", () => setTheme(root.dataset.theme === "dark" ? "light" : "dark"));

  // Paper has no way to open what is closed.
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("#again details, #compared details")) details.open = true;
  });

  // -- runs shown --------------------------------------------------------------------------
  const choice = document.getElementById("choice");
  if (choice) {
    choice.hidden = false;
    choice.addEventListener("change", ({ target }) => {
      for (const node of document.querySelectorAll(`main [data-run="${target.value}"]`))
        node.classList.toggle("off", !target.checked);
    });
  }

  // -- the command -------------------------------------------------------------------------
  for (const button of document.querySelectorAll(".copy")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.previousElementSibling.textContent);
      button.firstChild.textContent = "Copied";
    });
  }

  // -- the Tetris plot ---------------------------------------------------------------------
  const tip = document.getElementById("tip");
  const short = (macs) =>
    macs >= 1e5 ? `${(macs / 1e6).toFixed(2)} M` : Math.round(macs).toLocaleString("en");

  function costs(network, sizes, unit, group) {
    const of = (name) => (sizes.get(name) || network.fixed[name] || [])[group] || 0;
    const named = network.layers.filter(([, , target, factor]) => target === unit && factor > 0);
    const macs = named.reduce(
      (sum, [, source, target, factor, mixes]) =>
        sum + factor * (mixes ? of(source) * of(target) : of(target)),
      0,
    );
    return { names: named.map(([name]) => name), macs };
  }

  function describe(network, sizes, unit, group) {
    const row = sizes.get(unit) || network.fixed[unit];
    const total = row.reduce((sum, size) => sum + size, 0);
    const share = ((100 * row[group]) / total).toFixed(1);
    const lines = [
      `${unit} · ${network.groups[group]}`,
      `${row[group]} of ${total} channels (${share} %)`,
    ];
    if (network.layers.length) {
      const { names, macs } = costs(network, sizes, unit, group);
      lines.push(`${short(macs)} MACs`);
      if (names.length) lines.push(`in ${names.join(", ")}`);
    }
    return lines.join("\n");
  }

  function place(cell, text) {
    tip.textContent = text;
    tip.hidden = false;
    const box = cell.getBoundingClientRect();
    const left = Math.min(box.left, innerWidth - tip.offsetWidth - 8);
    const below = box.bottom + 8;
    const fits = below + tip.offsetHeight < innerHeight;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${fits ? below : box.top - tip.offsetHeight - 8}px`;
  }

  class Tetris {
    constructor(panel, network) {
      this.panel = panel;
      this.network = network;
      this.said = document.getElementById("said");
      this.bars = panel.querySelector(".bars");
      this.bars.setAttribute("role", "grid");
      this.buttons = [];
      this.at = [0, 0];
      this.addTools(panel.querySelector(".tools"));
      this.bars.addEventListener("pointerover", (event) => this.tell(event.target));
      this.bars.addEventListener("pointerleave", () => (tip.hidden = true));
      this.bars.addEventListener("focusin", (event) => this.tell(event.target));
      this.bars.addEventListener("focusout", () => (tip.hidden = true));
      this.bars.addEventListener("keydown", (event) => this.key(event));
      // Of a run what it found last; of a comparison its first search.
      this.show(network.divisions.length > 4 ? 1 : network.divisions.length - 1);
    }

    addTools(tools) {
      const { divisions, epochs } = this.network;
      if (divisions.length > 4) {
        const list = make("select", {}, ...divisions.map((d, i) => new Option(d.title, i)));
        list.addEventListener("change", () => this.show(Number(list.value)));
        tools.append(make("label", {}, "Grouping ", list));
        this.list = list;
      } else if (divisions.length > 1) {
        divisions.forEach((division, index) => {
          const button = make("button", { type: "button", textContent: division.title });
          button.addEventListener("click", () => this.show(index));
          this.buttons.push(button);
          tools.append(button);
        });
      }
      if (epochs.length > 1) {
        this.slider = make("input", { type: "range", min: 0, max: epochs.length - 1, step: 1 });
        this.slider.value = epochs.length - 1;
        this.slider.addEventListener("input", () => this.epoch(Number(this.slider.value)));
        this.output = make("output", { textContent: "" });
        tools.append(make("label", { className: "slide" }, `${this.network.step} `, this.slider, this.output));
        this.slider.setAttribute("aria-valuetext", `${this.network.step} ${epochs[epochs.length - 1]}`);
      }
    }

    mark(chosen) {
      this.buttons.forEach((button, index) =>
        button.setAttribute("aria-pressed", String(index === chosen)));
      if (this.list && chosen !== null) this.list.value = chosen;
    }

    show(index) {
      const division = this.network.divisions[index];
      this.mark(index);
      const { epochs } = this.network;
      if (this.output) this.output.textContent = `${epochs[0]} to ${epochs[epochs.length - 1]}`;
      this.draw(new Map(division.sizes), division.title);
      this.note(division.moved, division.title);
    }

    epoch(step) {
      const { units, timeline, epochs, divisions, step: word } = this.network;
      this.mark(null);
      const sizes = new Map(units.map((unit, at) => [unit, timeline[step][at]]));
      this.output.textContent = `${epochs[step]} of ${epochs[epochs.length - 1]}`;
      this.slider.setAttribute("aria-valuetext", `${word} ${epochs[step]}`);
      this.draw(sizes, `${word} ${epochs[step]}`);
      const sum = (row) => row.reduce((one, other) => one + other, 0);
      let moved = 0;
      for (const [unit, before] of divisions[0].sizes) {
        const now = sizes.get(unit);
        if (sum(now) !== sum(before)) moved = null;
        else if (moved !== null)
          before.forEach((size, at) => (moved += Math.max(now[at] - size, 0)));
      }
      this.note(moved, `${word} ${epochs[step]}`);
    }

    note(moved, title) {
      const text = this.panel.querySelector(".moved");
      const start = this.network.divisions[0].title;
      text.textContent = title === start ? ""
        : moved === null ? "Its units have other widths than those of the start."
        : `${title}: sizes differ from ${start} by ${moved} channel${moved === 1 ? "" : "s"}.`;
      if (this.drawn) this.said.textContent = text.textContent || `${title} is shown.`;
      this.drawn = true; // what a page shows at first needs no announcement
    }

    // The same cells take new widths, so that groups are seen to grow and to shrink.
    draw(sizes, title) {
      this.sizes = sizes;
      this.bars.setAttribute("aria-label", `${title}: channels of each part in every unit`);
      const written = new Set(this.network.layers.map((layer) => layer[2]));
      const fixed = Object.keys(this.network.fixed).filter((unit) => written.has(unit));
      const units = [...sizes.keys(), ...fixed];
      if (this.bars.children.length !== units.length) this.build(units, fixed);
      units.forEach((unit, at) => {
        const row = sizes.get(unit) || this.network.fixed[unit];
        const total = row.reduce((sum, size) => sum + size, 0);
        const [name, bar, sum] = this.bars.children[at].children;
        name.title = unit;
        name.replaceChildren(); // names break behind their dots only, where the screen is narrow
        for (const piece of unit.split(/(?<=\.)/)) name.append(piece, make("wbr"));
        sum.textContent = total;
        row.forEach((size, group) => {
          const cell = bar.children[group];
          cell.style.width = `calc(${(100 * size) / total}% - 1px)`;
          cell.textContent = size / total > 0.07 ? size : "";
          cell.setAttribute("aria-label", describe(this.network, sizes, unit, group).replaceAll("\n", ", "));
        });
      });
      this.units = units;
    }

    build(units, fixed) {
      const rows = units.map((unit) => {
        const cells = this.network.groups.map((_, group) => {
          const cell = make("div", { className: `cell c${group % 12} h${Math.floor(group / 12) % 4}`, tabIndex: -1 });
          cell.setAttribute("role", "gridcell");
          return cell;
        });
        const name = make("div", { className: "unit" });
        name.setAttribute("role", "rowheader");
        const bar = make("div", { className: "bar" }, ...cells);
        bar.setAttribute("role", "presentation");
        const total = make("div", { className: "total" });
        total.setAttribute("role", "gridcell");
        const row = make("div", { className: fixed.includes(unit) ? "row fixed" : "row" }, name, bar, total);
        row.setAttribute("role", "row");
        return row;
      });
      this.bars.replaceChildren(...rows);
      this.cell(0, 0).tabIndex = 0;
    }

    cell(row, group) {
      return this.bars.children[row].children[1].children[group];
    }

    tell(target) {
      if (!target.classList.contains("cell")) return;
      const bar = target.parentElement;
      const row = [...this.bars.children].indexOf(bar.parentElement);
      const group = [...bar.children].indexOf(target);
      const text = describe(this.network, this.sizes, this.units[row], group);
      place(target, text);
      this.panel.querySelector(".readout").textContent = text.split("\n").slice(0, 3).join(" · ");
    }

    key(event) {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (event.key === "Escape") tip.hidden = true;
      if (!step || !event.target.classList.contains("cell")) return;
      event.preventDefault();
      const bar = event.target.parentElement;
      const row = [...this.bars.children].indexOf(bar.parentElement);
      const group = [...bar.children].indexOf(event.target);
      const clamp = (value, count) => Math.min(Math.max(value, 0), count - 1);
      const next = this.cell(
        clamp(row + step[0], this.bars.children.length),
        clamp(group + step[1], this.network.groups.length),
      );
      event.target.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    }
  }

  const networks = read("networks");
  for (const panel of document.querySelectorAll("[data-tetris]"))
    new Tetris(panel, networks[Number(panel.dataset.tetris)]);
  // The tip stays with the piece that the keyboard is on, also while the page glides there.
  const follow = () => {
    const cell = document.activeElement;
    if (tip.hidden || !cell.classList.contains("cell")) tip.hidden = true;
    else place(cell, tip.textContent);
  };
  addEventListener("scroll", follow, { passive: true });

  // -- charts ------------------------------------------------------------------------------
  const specs = read("charts");
  const options = { actions: false, renderer: "svg", ast: true, tooltip: { disableDefaultStyle: true } };
  for (const plate of document.querySelectorAll("[data-chart]")) {
    if (typeof vegaEmbed === "undefined") {
      plate.classList.add("failed");
      continue;
    }
    vegaEmbed(plate, specs[Number(plate.dataset.chart)], options).catch((error) => {
      plate.classList.add("failed");
      console.error(error);
    });
  }
})();

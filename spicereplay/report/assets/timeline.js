// The timeline: lanes of streams and events, decode times, agent lag and bandwidth on one axis of time. uPlot gives
// axes, scales and the lines of the bandwidth; bars, marks and points are drawn here on its canvases.
"use strict";
(() => {
  const { one, every, colour, redraws } = page;

  const GUTTER = 78; // left of every plot, so that all plots share one axis
  const RIGHT = 14;
  const ROW = 15; // one row of stream bars
  const LANE = 20; // one lane of marks
  const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif';

  const source = one("#timeline-data");
  if (source) timeline(JSON.parse(source.textContent));

  function timeline(data) {
    one("#charts").hidden = false;
    const plots = one("#plots");
    const end = data.end;
    const least = Math.min(end, Math.max(end / 1e6, 0.002));
    const streams = data.streams;
    const lanes = data.lanes;
    const shapes = paths(data.looks.shapes);
    const marks = paths(data.looks.marks);
    const range = { min: 0, max: end };
    let cursor = null;
    let side = "server";
    let log = false;
    let pending = false;
    const charts = {};

    function paths(table) {
      return Object.fromEntries(Object.entries(table).map(([name, path]) => [name, new Path2D(path)]));
    }

    // ---- building the charts

    function build(name, height, series, values, y, draw, bottom) {
      const place = one(`[data-plot=${name}] .plot`);
      if (!place) return;
      if (charts[name]) charts[name].destroy();
      const deaf = () => null; // the page moves the cursor of all charts itself
      charts[name] = new uPlot(
        {
          width: place.clientWidth,
          height,
          padding: [name === "lanes" ? 0 : 6, RIGHT, bottom ? 0 : 4, 0],
          legend: { show: false },
          cursor: {
            y: false,
            drag: { x: false, y: false },
            points: { show: false },
            bind: Object.fromEntries(
              ["mousedown", "mouseup", "mousemove", "mouseenter", "mouseleave", "click", "dblclick"].map((e) => [e, deaf]),
            ),
          },
          scales: { x: { time: false, auto: false, min: range.min, max: range.max }, y },
          axes: [
            {
              show: name === "lanes" || bottom,
              side: name === "lanes" ? 0 : 2,
              size: 24,
              space: 90,
              gap: 3,
              stroke: () => colour("muted"),
              font: `12px ${FONT}`,
              grid: { stroke: () => colour("grid"), width: 1 },
              ticks: { stroke: () => colour("rule"), width: 1, size: 4 },
              values: (u, splits, axis, space, step) => splits.map((v) => `${digits(v, step)} s`),
            },
            {
              show: true,
              size: GUTTER,
              space: 26,
              gap: 6,
              stroke: () => colour("muted"),
              font: `12px ${FONT}`,
              grid: { show: name !== "lanes", stroke: () => colour("grid"), width: 1 },
              ticks: { show: false },
              values: (u, splits, axis, space, step) =>
                name === "lanes" ? [] : splits.map((v) => label(v, step, y.distr === 4)),
            },
          ],
          series: [{}, ...series],
          hooks: { draw: draw ? [(u) => clipped(u, draw)] : [] },
        },
        values,
        place,
      );
    }

    // The logarithmic scale is linear next to zero, where its ticks would lie on one another.
    function label(value, step, logarithmic) {
      if (value === null || value < 0 || (logarithmic && value > 0 && value < 10)) return null;
      return value >= 1e7 ? value.toExponential() : digits(value, logarithmic ? 1 : step); // the gutter is narrow
    }

    function clipped(u, draw) {
      u.ctx.save();
      draw(u, u.ctx, devicePixelRatio, u.bbox);
      u.ctx.restore();
    }

    const upward = (u, low, high) => [0, high === null || high <= 0 ? 1 : high * 1.08];

    function buildLanes() {
      const height = 24 + 8 + Math.max(streams.rows, 1) * ROW + 6 + lanes.length * LANE + 4;
      build("lanes", height, [{ show: false }], [[0, end], [0, 0]], { range: [0, 1] }, drawLanes, false);
    }

    function buildLatency() {
      const tables = data.latency.map((s) => [s.time, s.ms]);
      if (!tables.length) return;
      const values = tables.length > 1 ? uPlot.join(tables) : tables[0];
      const series = tables.map(() => ({ paths: () => null, points: { show: false } }));
      build("latency", 132, series, values, { range: upward }, drawLatency, false);
    }

    function buildLag() {
      const lag = data.lag;
      if (!lag.time.length) return;
      const values = [lag.time, lag.ms.map((v) => (v < 0 ? null : v))];
      build("lag", 96, [{ paths: () => null, points: { show: false } }], values, { range: upward }, drawLag, false);
    }

    function buildBandwidth() {
      const band = data.bandwidth;
      if (!band.channels.length) return;
      const series = band.channels.map((channel) => ({
        stroke: () => colour(`channel-${channel.look}`),
        width: 1.5,
        dash: channel.dash.length ? channel.dash : undefined,
        paths: uPlot.paths.stepped({ align: 1 }),
        points: { show: false },
      }));
      const values = [band.time, ...band.channels.map((c) => c[side].map((v) => v / 1000))];
      const y = log ? { distr: 4, asinh: 1, range: (u, low, high) => [0, Math.max(high * 1.3, 2)] } : { range: upward };
      build("bandwidth", 172, series, values, y, null, true);
    }

    // ---- drawing

    const tiles = new Map();
    redraws.push(() => tiles.clear());

    // Patterns tell codecs apart where colours cannot.
    function fill(context, look, name) {
      const ratio = devicePixelRatio;
      const key = `${look} ${name} ${ratio} ${colour(name)}`;
      if (!tiles.has(key)) {
        const tile = document.createElement("canvas");
        const side = Math.round(8 * ratio);
        tile.width = tile.height = side;
        const pen = tile.getContext("2d");
        const hatch = look === "hatch";
        if (!hatch) {
          pen.fillStyle = colour(name);
          pen.fillRect(0, 0, side, side);
          pen.globalAlpha = 0.5;
        }
        pen.strokeStyle = pen.fillStyle = hatch ? colour(name) : colour("sheet");
        pen.lineWidth = (hatch ? 1.6 : 1.2) * ratio;
        const line = (x1, y1, x2, y2) => {
          pen.beginPath();
          pen.moveTo(x1, y1);
          pen.lineTo(x2, y2);
          pen.stroke();
        };
        const half = side / 2;
        if (look === "slant" || look === "cross" || hatch) {
          for (const shift of [-side, 0, side]) line(shift - 1, side + 1, shift + side + 1, -1);
        }
        if (look === "cross") for (const shift of [-side, 0, side]) line(shift - 1, -1, shift + side + 1, side + 1);
        if (look === "upright") line(half, 0, half, side);
        if (look === "level") line(0, half, side, half);
        if (look === "dots") {
          pen.beginPath();
          pen.arc(half, half, 1.5 * ratio, 0, 7);
          pen.fill();
        }
        tiles.set(key, context.createPattern(tile, "repeat"));
      }
      return tiles.get(key);
    }

    function stamp(pen, path, x, y, ratio) {
      pen.translate(x, y);
      pen.scale(ratio, ratio);
      pen.fill(path);
      pen.setTransform(1, 0, 0, 1, 0, 0);
    }

    function drawLanes(u, pen, ratio, box) {
      const left = box.left;
      const right = box.left + box.width;
      const at = (t) => u.valToPos(t, "x", true);
      const top = box.top + 6 * ratio;
      const lanesTop = top + Math.max(streams.rows, 1) * ROW * ratio + 6 * ratio;
      pen.textBaseline = "middle";

      pen.font = `${12 * ratio}px ${FONT}`;
      pen.textAlign = "right";
      pen.fillStyle = colour("muted");
      pen.fillText("streams", left - 8 * ratio, top + Math.min(streams.rows || 1, 2) * ROW * ratio * 0.5);
      lanes.forEach((lane, i) => {
        const y = lanesTop + i * LANE * ratio;
        pen.fillText(lane.name, left - 8 * ratio, y + (LANE * ratio) / 2);
        pen.fillStyle = colour("grid");
        pen.fillRect(left, Math.round(y), box.width, Math.max(1, Math.round(ratio)));
        pen.fillStyle = colour("muted");
      });

      pen.textAlign = "left";
      const nothing = (y) => {
        pen.fillStyle = colour("muted");
        pen.fillText("none", left + 6 * ratio, y);
      };
      if (!streams.from.length) nothing(top + (ROW * ratio) / 2);
      lanes.forEach((lane, i) => {
        if (!lane.from.length) nothing(lanesTop + (i + 0.5) * LANE * ratio);
      });

      pen.save();
      pen.beginPath();
      pen.rect(left, box.top, box.width, box.height);
      pen.clip();
      pen.font = `${11 * ratio}px ${FONT}`;
      for (let i = 0; i < streams.from.length; i++) {
        if (streams.to[i] < range.min || streams.from[i] > range.max) continue;
        bar(pen, i, at(streams.from[i]), at(streams.to[i]), top + streams.row[i] * ROW * ratio, left, right, ratio);
      }
      lanes.forEach((lane, i) => drawMarks(pen, lane, at, lanesTop + (i + 0.5) * LANE * ratio, left, right, ratio));
      pen.restore();
    }

    function bar(pen, i, from, to, y, left, right, ratio) {
      const height = (ROW - 3) * ratio;
      const name = `codec-${streams.codecLooks[streams.codec[i]]}`;
      const width = Math.max(to - from - (to - from > 4 * ratio ? ratio : 0), ratio);
      const patterned = width > 6 * ratio;
      pen.fillStyle = patterned ? fill(pen, data.looks.fills[streams.codecLooks[streams.codec[i]]], name) : colour(name);
      pen.fillRect(from, y, width, height);
      if (!patterned) return;
      // An end that was not seen is torn, not straight.
      pen.fillStyle = colour("sheet");
      if (streams.openLeft[i]) torn(pen, from, y, height, 4 * ratio);
      if (streams.openRight[i]) torn(pen, from + width, y, height, -4 * ratio);
      const begin = Math.max(from, left) + (streams.openLeft[i] ? 7 : 4) * ratio;
      const room = Math.min(from + width, right) - begin - 4 * ratio;
      const codec = streams.codecs[streams.codec[i]];
      for (const label of [`${codec} ${streams.width[i]}×${streams.height[i]}`, codec]) {
        const wide = pen.measureText(label).width;
        if (wide > room) continue;
        pen.fillStyle = colour(name);
        pen.fillRect(begin - 2 * ratio, y, wide + 4 * ratio, height);
        pen.fillStyle = colour("sheet");
        pen.fillText(label, begin, y + height / 2 + ratio * 0.5);
        break;
      }
    }

    function torn(pen, x, y, height, depth) {
      pen.beginPath();
      pen.moveTo(x, y);
      for (let k = 1; k <= 4; k++) pen.lineTo(k % 2 ? x + depth : x, y + (height * k) / 4);
      pen.fill();
    }

    const rank = { lost: 3, critical: 3, warn: 2, flap: 2, info: 1 };
    const tint = { lost: "critical", flap: "flap", critical: "critical", warn: "warn", info: "info" };

    const periods = ["hatch", "still", "sound"];
    function period(pen, look) {
      if (look === "sound") return fill(pen, "level", "channel-playback");
      return look === "still" ? colour("grid") : fill(pen, "hatch", "hatch");
    }

    // Marks too close to tell apart become one with their number: the worst of them shows.
    function drawMarks(pen, lane, at, y, left, right, ratio) {
      const groups = [];
      for (let i = 0; i < lane.from.length; i++) {
        if (lane.to[i] < range.min || lane.from[i] > range.max) continue;
        if (periods.includes(lane.look[i])) {
          const from = at(lane.from[i]);
          const width = Math.max(at(lane.to[i]) - from, 5 * ratio);
          const height = 12 * ratio;
          pen.fillStyle = period(pen, lane.look[i]);
          pen.fillRect(from, y - height / 2, width, height);
          pen.strokeStyle = colour({ still: "rule", sound: "channel-playback" }[lane.look[i]] || "hatch");
          pen.lineWidth = ratio;
          pen.strokeRect(from, y - height / 2, width, height);
          continue;
        }
        const x = at(lane.from[i]);
        const last = groups[groups.length - 1];
        if (last && x - last.x < 14 * ratio) {
          last.count += lane.count[i];
          if ((rank[lane.look[i]] || 0) > (rank[last.look] || 0)) last.look = lane.look[i];
        } else groups.push({ x, look: lane.look[i], count: lane.count[i] });
      }
      groups.forEach((group, k) => {
        // A mark at the very edge of the axis is drawn whole.
        const x = Math.min(Math.max(group.x, left + 7 * ratio), right - 7 * ratio);
        pen.fillStyle = colour(tint[group.look] || "info");
        stamp(pen, marks[group.look] || marks.info, x, y, ratio * 0.9);
        const label = `×${group.count}`;
        const next = k + 1 < groups.length ? groups[k + 1].x : right;
        if (group.count > 1 && x + 10 * ratio + pen.measureText(label).width < next - 8 * ratio) {
          pen.fillStyle = colour("text");
          pen.fillText(label, x + 9 * ratio, y + ratio * 0.5);
        }
      });
    }

    function plotClip(pen, box) {
      pen.beginPath();
      pen.rect(box.left, box.top, box.width, box.height);
      pen.clip();
    }

    function drawLatency(u, pen, ratio, box) {
      plotClip(pen, box);
      // What a frame may cost at two usual rates.
      pen.font = `${11 * ratio}px ${FONT}`;
      pen.textAlign = "right";
      pen.textBaseline = "bottom";
      const budgets = [];
      for (const rate of [60, 30]) {
        const y = u.valToPos(1000 / rate, "y", true);
        if (y < box.top + 12 * ratio || y > box.top + box.height - 4) continue;
        budgets.push([y, rate]);
        pen.strokeStyle = colour("muted");
        pen.lineWidth = ratio;
        pen.setLineDash([4 * ratio, 4 * ratio]);
        pen.beginPath();
        pen.moveTo(box.left, y);
        pen.lineTo(box.left + box.width, y);
        pen.stroke();
      }
      for (const series of data.latency) {
        pen.fillStyle = colour(`codec-${series.look}`);
        const shape = shapes[series.look];
        for (let i = lower(series.time, range.min); i < series.time.length && series.time[i] <= range.max; i++) {
          stamp(pen, shape, u.valToPos(series.time[i], "x", true), u.valToPos(series.ms[i], "y", true), ratio * 0.7);
        }
      }
      // Their names go over the points, on a ground of their own.
      for (const [y, rate] of budgets) {
        const words = `budget at ${rate} frames/s`;
        const wide = pen.measureText(words).width;
        const right = box.left + box.width - 4 * ratio;
        pen.fillStyle = colour("sheet");
        pen.fillRect(right - wide - 3 * ratio, y - 15 * ratio, wide + 6 * ratio, 13.5 * ratio);
        pen.fillStyle = colour("muted");
        pen.fillText(words, right, y - 2 * ratio);
      }
    }

    function drawLag(u, pen, ratio, box) {
      plotClip(pen, box);
      const lag = data.lag;
      const ground = u.valToPos(0, "y", true);
      for (let i = lower(lag.time, range.min); i < lag.time.length && lag.time[i] <= range.max; i++) {
        const x = u.valToPos(lag.time[i], "x", true);
        if (lag.ms[i] < 0) {
          pen.fillStyle = colour("critical");
          stamp(pen, marks.lost, x, box.top + 8 * ratio, ratio * 0.9);
          continue;
        }
        const y = u.valToPos(lag.ms[i], "y", true);
        pen.fillStyle = colour("lag");
        pen.fillRect(x - ratio / 2, y, ratio, ground - y);
        stamp(pen, shapes.mjpeg, x, y, ratio * 0.9);
      }
    }

    // ---- range and cursor

    function setRange(min, max) {
      const span = Math.min(Math.max(max - min, least), end);
      min = Math.min(Math.max(min, 0), end - span);
      range.min = min;
      range.max = min + span;
      for (const u of Object.values(charts)) u.setScale("x", range);
      plots.dataset.xMin = range.min.toFixed(6);
      plots.dataset.xMax = range.max.toFixed(6);
      const whole = span >= end;
      one("#range").textContent = whole
        ? `whole capture, ${digits(end, 0.01)} s`
        : `${digits(range.min, span / 100)} to ${digits(range.max, span / 100)} s of ${digits(end, 0.01)} s`;
      every("[data-do]").forEach((b) => {
        b.disabled =
          ((b.dataset.do === "reset" || b.dataset.do === "out") && whole) ||
          (b.dataset.do === "left" && range.min <= 0) ||
          (b.dataset.do === "right" && range.max >= end) ||
          (b.dataset.do === "in" && span <= least);
      });
      soon();
    }
    const span = () => range.max - range.min;
    function zoom(factor, about = (range.min + range.max) / 2) {
      setRange(about - (about - range.min) * factor, about + (range.max - about) * factor);
    }
    function pan(share) {
      setRange(range.min + span() * share, range.max + span() * share);
    }
    function setCursor(t) {
      cursor = t === null ? null : Math.min(Math.max(t, 0), end);
      soon();
    }
    function soon() {
      if (pending) return;
      pending = true;
      requestAnimationFrame(() => {
        pending = false;
        for (const u of Object.values(charts)) {
          u.setCursor({ left: cursor === null ? -10 : u.valToPos(cursor, "x"), top: 0 }, false);
        }
        if (cursor === null) delete plots.dataset.cursor;
        else plots.dataset.cursor = cursor.toFixed(6);
        readout();
      });
    }

    // First index of sorted `times` at or after `t`.
    function lower(times, t) {
      let low = 0;
      let high = times.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (times[middle] < t) low = middle + 1;
        else high = middle;
      }
      return low;
    }
    function nearest(times, t) {
      const i = lower(times, t);
      return i > 0 && (i === times.length || t - times[i - 1] < times[i] - t) ? i - 1 : i;
    }
    function digits(value, step) {
      const places = step >= 1 || step <= 0 ? 0 : Math.min(6, Math.ceil(-Math.log10(step) - 1e-9));
      return value.toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places });
    }

    function readout() {
      const box = one("#readout");
      const t = cursor;
      if (t === null) {
        box.replaceChildren(column("Time", ["Point at the charts to read them."]));
        return;
      }
      const pixel = span() / Math.max(charts.lanes.bbox.width / devicePixelRatio, 1);
      const now = column("Time", [`${digits(t, pixel)} s`, data.startMs === null ? "" : utc(data.startMs + t * 1000)]);
      now.children[1].className = "now";
      box.replaceChildren(now, column("Streams", streamsAt(t)), column("Events", eventsAt(t, pixel * 7)), column("Figures", figuresAt(t, pixel)));
    }
    function column(title, lines) {
      const box = document.createElement("div");
      const head = document.createElement("b");
      head.textContent = title;
      box.append(head, ...lines.map((line) => Object.assign(document.createElement("div"), { textContent: line, title: line })));
      return box;
    }
    function few(lines, most = 3) {
      if (!lines.length) return ["none"];
      return lines.length <= most ? lines : [...lines.slice(0, most - 1), `and ${lines.length - most + 1} more`];
    }
    function streamsAt(t) {
      const lines = [];
      for (let i = 0; i < streams.from.length; i++) {
        if (streams.from[i] > t || streams.to[i] < t) continue;
        const life = digits(streams.to[i] - streams.from[i], 0.01);
        lines.push(
          `${streams.codecs[streams.codec[i]]} ${streams.width[i]}×${streams.height[i]}, ${life} s, ` +
            `${digits(streams.frames[i], 1)} frames, end: ${streams.ends[streams.endCause[i]].replaceAll("_", " ")}`,
        );
      }
      return few(lines);
    }
    function eventsAt(t, reach) {
      const lines = [];
      for (const lane of lanes) {
        for (let i = 0; i < lane.from.length; i++) {
          if (lane.from[i] - reach > t || lane.to[i] + reach < t) continue;
          lines.push(lane.text[i] + (lane.count[i] > 1 ? ` (×${lane.count[i]})` : ""));
        }
      }
      return few(lines);
    }
    function figuresAt(t, pixel) {
      const lines = [];
      const close = pixel * 12;
      const decode = data.latency.flatMap((s) => {
        const i = nearest(s.time, t);
        return i < s.time.length && Math.abs(s.time[i] - t) <= close ? [`${s.codec} ${digits(s.ms[i], 0.01)} ms`] : [];
      });
      if (decode.length) lines.push(`decode ${decode.join(", ")}`);
      const i = nearest(data.lag.time, t);
      if (i < data.lag.time.length && Math.abs(data.lag.time[i] - t) <= close) {
        const lag = data.lag.ms[i];
        lines.push(`agent ${data.lag.type[i]}: ${lag < 0 ? data.lag.outcome[i] : `${digits(lag, 0.01)} ms`}`);
      }
      const band = data.bandwidth;
      const bin = lower(band.time, t + 1e-9) - 1;
      if (bin >= 0) {
        const rates = band.channels
          .map((c) => [c.name, c[side][bin] / 1000])
          .filter(([, rate]) => rate > 0)
          .sort((a, b) => b[1] - a[1])
          .map(([name, rate]) => `${name} ${digits(rate, rate < 10 ? 0.1 : 1)}`);
        if (rates.length) lines.push(`kB/s from ${side}: ${rates.join(", ")}`);
      }
      return lines.length ? lines : ["none"];
    }
    function utc(ms) {
      const when = new Date(ms);
      return Number.isNaN(when.getTime()) ? "" : `${when.toISOString().slice(11, 23)} UTC`;
    }

    // ---- pointer, wheel, keys

    const fingers = new Map();
    let grabbed = null;
    const timeAt = (x, at = range) => {
      const box = one(".u-over", plots).getBoundingClientRect();
      return at.min + ((x - box.left) / box.width) * (at.max - at.min);
    };
    const grab = () => {
      const xs = [...fingers.values()];
      const middle = xs.reduce((a, b) => a + b, 0) / xs.length;
      grabbed = { range: { ...range }, middle, apart: xs.length > 1 ? Math.max(Math.abs(xs[0] - xs[1]), 1) : 0 };
    };

    plots.addEventListener("pointerdown", (event) => {
      if (event.target.closest("figcaption") || event.button > 0) return;
      fingers.set(event.pointerId, event.clientX);
      plots.setPointerCapture(event.pointerId);
      plots.classList.add("dragging");
      grab();
    });
    plots.addEventListener("pointermove", (event) => {
      if (fingers.has(event.pointerId)) {
        fingers.set(event.pointerId, event.clientX);
        const xs = [...fingers.values()];
        const middle = xs.reduce((a, b) => a + b, 0) / xs.length;
        const held = timeAt(grabbed.middle, grabbed.range); // stays under the fingers
        const factor = xs.length > 1 && grabbed.apart ? grabbed.apart / Math.max(Math.abs(xs[0] - xs[1]), 1) : 1;
        const wide = Math.min(Math.max((grabbed.range.max - grabbed.range.min) * factor, least), end);
        const box = one(".u-over", plots).getBoundingClientRect();
        const min = held - ((middle - box.left) / box.width) * wide;
        setRange(min, min + wide);
      }
      const t = timeAt(event.clientX);
      setCursor(t < range.min || t > range.max ? null : t);
    });
    for (const name of ["pointerup", "pointercancel"]) {
      plots.addEventListener(name, (event) => {
        fingers.delete(event.pointerId);
        if (fingers.size) grab();
        else plots.classList.remove("dragging");
      });
    }
    plots.addEventListener("pointerleave", () => fingers.size || setCursor(null));
    plots.addEventListener("dblclick", (event) => event.target.closest("figcaption") || setRange(0, end));

    // A reader who scrolls through the page must not get stuck in the charts: a turn of the wheel that began
    // outside goes on scrolling, and so does one that could not zoom out any further.
    let scrolled = -1000;
    addEventListener("scroll", (event) => (scrolled = event.timeStamp), { passive: true });
    plots.addEventListener(
      "wheel",
      (event) => {
        if (event.timeStamp - scrolled < 200 && !event.ctrlKey) return;
        const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) ? event.deltaX : event.shiftKey ? event.deltaY : 0;
        if (!sideways && event.deltaY > 0 && span() >= end && !event.ctrlKey) return;
        event.preventDefault();
        const lines = event.deltaMode === 1 ? 30 : 1;
        if (sideways) pan((sideways * lines) / 1000);
        else zoom(Math.exp(Math.max(-120, Math.min(120, event.deltaY * lines)) / (event.ctrlKey ? 100 : 300)), timeAt(event.clientX));
      },
      { passive: false },
    );

    const actions = {
      in: () => zoom(0.5, inView()),
      out: () => zoom(2, inView()),
      left: () => pan(-0.25),
      right: () => pan(0.25),
      reset: () => setRange(0, end),
    };
    // Zooming by key or button keeps the cursor in sight, where there is one.
    const inView = () => (cursor !== null && cursor >= range.min && cursor <= range.max ? cursor : undefined);
    const move = (share) => {
      const t = (cursor === null ? (range.min + range.max) / 2 : cursor) + span() * share;
      setCursor(t);
      if (t < range.min) pan(-0.5);
      if (t > range.max) pan(0.5);
    };
    const keys = {
      "+": actions.in,
      "=": actions.in,
      "-": actions.out,
      "_": actions.out,
      0: actions.reset,
      Escape: actions.reset,
      ArrowLeft: (event) => (event.shiftKey ? move(-0.01) : actions.left()),
      ArrowRight: (event) => (event.shiftKey ? move(0.01) : actions.right()),
      Home: () => setRange(0, span()),
      End: () => setRange(end - span(), end),
    };
    plots.addEventListener("keydown", (event) => {
      const action = keys[event.key];
      if (!action || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      one("#readout").setAttribute("aria-live", "polite"); // read aloud only to those who steer by key
      action(event);
    });
    every("[data-do]").forEach((button) => button.addEventListener("click", () => actions[button.dataset.do]()));
    every("[data-side]").forEach((button) =>
      button.addEventListener("click", () => {
        side = button.dataset.side;
        every("[data-side]").forEach((b) => b.setAttribute("aria-pressed", b === button));
        buildBandwidth();
        soon();
      }),
    );
    every("[data-scale]").forEach((button) =>
      button.addEventListener("click", () => {
        log = !log;
        button.setAttribute("aria-pressed", log);
        buildBandwidth();
        soon();
      }),
    );
    every(".moment").forEach((button) =>
      button.addEventListener("click", () => {
        const t = Number(button.dataset.time);
        const half = Math.min(Math.max(end / 40, 2), end) / 2;
        setRange(t - half, t + half);
        setCursor(t);
        one("#timeline").scrollIntoView({ block: "start" });
        plots.focus({ preventScroll: true });
      }),
    );

    // ---- size, colours, paper

    function resize(width) {
      for (const u of Object.values(charts)) u.setSize({ width, height: u.height });
    }
    function swatches() {
      for (const canvas of every(".swatch")) {
        const pen = canvas.getContext("2d");
        const look = canvas.dataset.codec;
        pen.clearRect(0, 0, canvas.width, canvas.height);
        pen.fillStyle = look ? fill(pen, data.looks.fills[look], `codec-${look}`) : period(pen, canvas.dataset.fill);
        pen.fillRect(0, 0, canvas.width, canvas.height);
      }
    }
    redraws.push(() => {
      for (const u of Object.values(charts)) u.redraw();
      swatches();
    });
    new ResizeObserver(() => page.isPrinting() || resize(one(".plot", plots).clientWidth)).observe(plots);

    buildLanes();
    buildLatency();
    buildLag();
    buildBandwidth();
    swatches();
    setRange(0, end);
    addEventListener("beforeprint", () => resize(1000)); // about what A4 leaves between its margins
    addEventListener("afterprint", () => resize(one(".plot", plots).clientWidth));
  }
})();

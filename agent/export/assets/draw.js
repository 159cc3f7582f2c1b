/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Draws the model on a canvas. The canvas is as large as what is visible of it, never as large as
 * the graph; of each visible row only the boxes inside the window are looked at, and boxes under
 * half a pixel are joined. `g` is the state that view.js owns: window (x and width in units of the
 * model), zoomed node, orientation, hits of the search, hovered and focused node.
 */

const ROW = 21, TEXT_MIN = 26, BOX_MIN = 0.5, PAD = 5;
const FONT = '12px Inter, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif';

/* The height of the whole graph in CSS pixels. */
function graphHeight(g) {
	return (g.deepest + 1) * ROW + 12;
}

/* The top of a row inside the graph. Flames grow upwards from the bottom of the view. */
function rowTop(g, depth) {
	if (!g.flames)
		return 4 + depth * ROW;
	return Math.max(graphHeight(g), g.height) - 8 - (depth + 1) * ROW;
}

function depthAt(g, y) {
	const top = y + g.scroll;
	const depth = g.flames ? Math.floor((rowTop(g, -1) - top) / ROW) : Math.floor((top - 4) / ROW);

	return depth >= 0 && depth < g.m.rows.length && depth <= g.deepest ? depth : -1;
}

/* The node under a point of the canvas, -1: none. */
function nodeAt(g, px, y) {
	const depth = depthAt(g, y);

	if (depth < 0 || !g.width)
		return -1;
	const row = g.m.rows[depth], x = g.x + px / g.width * g.span;
	const at = rowSearch(g.m, row, x);

	return at < row.length && g.m.x[row[at]] <= x ? row[at] : -1;
}

/* Where a node is drawn: pixels of the canvas; cut to the window. */
function rectOf(g, node) {
	const scale = g.width / g.span;
	const left = Math.max((g.m.x[node] - g.x) * scale, 0);
	const right = Math.min((g.m.x[node] + g.m.value[node] - g.x) * scale, g.width);

	return { x: left, y: rowTop(g, g.m.depth[node]) - g.scroll, width: right - left, height: ROW - 1 };
}

function drawGraph(g) {
	const c = g.context, m = g.m;

	c.setTransform(g.ratio, 0, 0, g.ratio, 0, 0);
	c.clearRect(0, 0, g.width, g.height);
	c.font = FONT;
	c.textBaseline = 'middle';
	if (!m.value[0])
		return;
	for (let depth = 0; depth <= g.deepest && depth < m.rows.length; depth++) {
		const y = rowTop(g, depth) - g.scroll;

		if (y + ROW > 0 && y < g.height)
			drawRow(g, m.rows[depth], y);
	}
	c.globalAlpha = 1;
	if (g.hover >= 0)
		drawRing(g, g.hover, g.style.text, 1);
	if (g.focus >= 0 && g.active)
		drawRing(g, g.focus, g.style.accent, 2);
}

function drawRow(g, row, y) {
	const m = g.m, scale = g.width / g.span, limit = g.x + g.span;
	let thin = 0, thinNode = -1;

	for (let i = rowSearch(m, row, g.x); i < row.length && m.x[row[i]] < limit; i++) {
		const node = row[i];
		const left = (m.x[node] - g.x) * scale, width = m.value[node] * scale;

		if (width >= BOX_MIN) {
			drawBox(g, node, left, width, y);
			continue;
		}
		/* A run of slivers is one box as soon as it can be seen. */
		if (thinNode < 0 || left - thin >= BOX_MIN * 2) {
			thin = left;
			thinNode = node;
		}
		if (left + width - thin >= BOX_MIN) {
			drawBox(g, thinNode, thin, left + width - thin, y);
			thinNode = -1;
		}
	}
}

function drawBox(g, node, left, width, y) {
	const c = g.context, m = g.m, frame = m.frame[node];
	const x = Math.max(left, -4), right = Math.min(left + width, g.width + 4);
	const w = Math.max(right - x - (width > 3 ? 1 : 0), 0.4);
	const hit = g.hits && g.hits[frame];

	c.globalAlpha = g.hits && !hit ? 0.26 : m.depth[node] < g.zoomDepth ? 0.55 : 1;
	c.fillStyle = hit ? g.style.hit : g.colours[frameColour(m, frame)];
	if (w > 7) {
		c.beginPath();
		c.roundRect(x, y, w, ROW - 1, 3);
		c.fill();
	} else {
		c.fillRect(x, y, w, ROW - 1);
	}
	if (frameKind(m, frame) === KIND_GAP && w > 3)
		drawHatch(g, x, y, w);
	if (frame === g.sameFrame && !hit && w > 2)
		drawGlow(g, x, y, w);
	if (w > TEXT_MIN)
		drawText(g, node, Math.max(x, 0), Math.min(x + w, g.width), y, hit);
}

/* What is missing must not look like code. */
function drawHatch(g, x, y, w) {
	const c = g.context;

	c.save();
	c.beginPath();
	c.rect(x, y, w, ROW - 1);
	c.clip();
	c.strokeStyle = 'rgba(0,0,0,.13)';
	c.lineWidth = 2;
	c.beginPath();
	for (let at = x - (x % 8) - ROW; at < x + w; at += 8) {
		c.moveTo(at, y + ROW);
		c.lineTo(at + ROW, y);
	}
	c.stroke();
	c.restore();
}

/* The other boxes of the function under the pointer. */
function drawGlow(g, x, y, w) {
	g.context.fillStyle = 'rgba(255,255,255,.34)';
	g.context.fillRect(x, y, w, ROW - 1);
}

function drawRing(g, node, colour, thickness) {
	const c = g.context, r = rectOf(g, node);

	if (r.width <= 0 || r.y + ROW < 0 || r.y > g.height)
		return;
	c.strokeStyle = colour;
	c.lineWidth = thickness;
	c.beginPath();
	c.roundRect(r.x + thickness / 2, r.y + thickness / 2, Math.max(r.width - 1 - thickness, 1),
		    r.height - thickness, 3);
	c.stroke();
}

function drawText(g, node, left, right, y, hit) {
	const c = g.context, name = frameName(g.m, g.m.frame[node]);
	const text = fitText(g, g.m.frame[node], name, right - left - 2 * PAD);

	if (!text)
		return;
	c.globalAlpha = hit ? 1 : Math.max(c.globalAlpha, 0.5);
	c.fillStyle = hit ? g.style.hitText : g.hits && g.dark ? g.style.text : '#1d1710';
	c.fillText(text, left + PAD, y + ROW / 2);
}

/* Measuring is what drawing text costs, so each function is measured once. */
function fitText(g, frame, name, room) {
	if (g.widths[frame] < 0)
		g.widths[frame] = g.context.measureText(name.slice(0, 400)).width;
	const full = g.widths[frame], length = Math.min(name.length, 400);

	if (full <= room)
		return name.slice(0, 400);
	let keep = Math.floor((room - 9) / (full / length));

	if (keep < 2)
		return '';
	/* The average may be wrong for the part that is kept. */
	while (keep > 1 && g.context.measureText(name.slice(0, keep)).width > room - 9)
		keep--;
	return name.slice(0, keep).trimEnd() + '\u2026';
}

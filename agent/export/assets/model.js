/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model of the flame graph: decodes the data of the page (agent/export/page.c writes it) into
 * typed arrays and answers questions about them. No DOM here.
 *
 * data.table: 6 numbers a frame: name, module, file (indices into strings), line, kind (+ 8 when
 * named), colour. Frame 0 is the root, 1 stands for frames too small to be kept. The nodes of the
 * call tree come in depth-first order: up = how many levels to climb from the node before to find
 * the parent, frame, count = own samples, rest = own nanoseconds that count x period leaves over.
 */
'use strict';

const KINDS = ['native', 'kernel', 'JIT', 'gap', 'process', 'managed'];
const KIND_GAP = 3, KIND_PROCESS = 4;
const FRAME_ROOT = 0, FRAME_OTHER = 1;

function makeModel(data) {
	const n = data.frame.length;
	const m = {
		data, n,
		frame: Int32Array.from(data.frame),
		parent: new Int32Array(n),
		depth: new Int32Array(n),
		end: new Int32Array(n),			/* one past the last node below */
		x: new Float64Array(n),
		selfCount: Float64Array.from(data.count),
		selfValue: new Float64Array(n),
		count: new Float64Array(n),
		value: new Float64Array(n),		/* what widths are made of */
		rows: [],				/* per depth: nodes from left to right */
		frames: data.table.length / 6,
	};
	decodeTree(m, data);
	sumTree(m, data);
	placeTree(m);
	return m;
}

function decodeTree(m, data) {
	let previous = 0;

	for (let i = 1; i < m.n; i++) {
		let parent = previous;

		for (let up = data.up[i]; up > 0; up--)
			parent = m.parent[parent];
		m.parent[i] = parent;
		m.depth[i] = m.depth[parent] + 1;
		previous = i;
	}
}

function sumTree(m, data) {
	for (let i = 0; i < m.n; i++) {
		m.selfValue[i] = m.selfCount[i] * data.period + (data.rest ? data.rest[i] : 0);
		m.end[i] = i + 1;
	}
	m.count.set(m.selfCount);
	m.value.set(m.selfValue);
	for (let i = m.n - 1; i > 0; i--) {
		const p = m.parent[i];

		m.count[p] += m.count[i];
		m.value[p] += m.value[i];
		m.end[p] = Math.max(m.end[p], m.end[i]);
	}
	/* A profile without times is drawn by samples. */
	m.own = m.value[0] ? m.selfValue : m.selfCount;
	if (!m.value[0])
		m.value.set(m.count);
}

function placeTree(m) {
	const next = new Float64Array(m.n);

	for (let i = 0; i < m.n; i++) {
		if (i) {
			m.x[i] = next[m.parent[i]];
			next[m.parent[i]] += m.value[i];
		}
		next[i] = m.x[i];
		(m.rows[m.depth[i]] ||= []).push(i);
	}
}

function frameName(m, frame) {
	if (frame === FRAME_ROOT)
		return 'all';
	if (frame === FRAME_OTHER)
		return '[smaller frames]';
	return m.data.strings[m.data.table[frame * 6]] ||
		(frameKind(m, frame) === KIND_PROCESS ? '[no process name]' : '[unknown]');
}

function frameModule(m, frame) {
	return m.data.strings[m.data.table[frame * 6 + 1]];
}

function frameKind(m, frame) {
	return m.data.table[frame * 6 + 4] & 7;
}

function frameNamed(m, frame) {
	return (m.data.table[frame * 6 + 4] & 8) !== 0;
}

function frameColour(m, frame) {
	return m.data.table[frame * 6 + 5];
}

/* file:line, or '' */
function frameSource(m, frame) {
	const file = m.data.strings[m.data.table[frame * 6 + 2]];
	const line = m.data.table[frame * 6 + 3];

	return file && line ? file + ':' + line : file;
}

/* The first node of a row whose right edge lies beyond x. */
function rowSearch(m, row, x) {
	let low = 0, high = row.length;

	while (low < high) {
		const mid = (low + high) >> 1;

		if (m.x[row[mid]] + m.value[row[mid]] > x)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

/* The deepest level below a node. */
function depthBelow(m, node) {
	let deepest = m.depth[node];

	for (let i = node; i < m.end[node]; i++)
		deepest = Math.max(deepest, m.depth[i]);
	return deepest;
}

function pathOf(m, node) {
	const path = [node];

	while (node)
		path.unshift(node = m.parent[node]);
	return path;
}

/* Which frames a pattern matches; null when it is empty. Throws on a bad regular expression. */
function searchFrames(m, text, asRegExp) {
	const hits = new Uint8Array(m.frames);
	const needle = text.toLowerCase();
	const re = asRegExp && text ? new RegExp(text, 'i') : null;

	if (!text)
		return null;
	for (let f = 0; f < m.frames; f++) {
		const name = frameName(m, f), module = frameModule(m, f);

		if (f === FRAME_ROOT)
			continue;
		hits[f] = re ? re.test(name) || re.test(module) :
			name.toLowerCase().includes(needle) || module.toLowerCase().includes(needle);
	}
	return hits;
}

/* What the matches cover below a node: a match inside a match counts once. */
function searchCover(m, hits, node) {
	let value = 0, boxes = 0;

	for (let i = node; i < m.end[node];) {
		if (hits[m.frame[i]]) {
			value += m.value[i];
			boxes++;
			i = m.end[i];
		} else {
			i++;
		}
	}
	return { value, boxes, share: m.value[node] ? value / m.value[node] : 0 };
}

/* Self and total of every function below a node, hottest first. Recursion counts once. */
function hotFrames(m, node) {
	const self = new Float64Array(m.frames), total = new Float64Array(m.frames);
	const on = new Int32Array(m.frames), open = [], list = [];

	for (let i = node; i < m.end[node]; i++) {
		while (open.length && i >= m.end[open[open.length - 1]])
			on[m.frame[open.pop()]]--;
		const f = m.frame[i];

		self[f] += m.own[i];
		if (!on[f]++)
			total[f] += m.value[i];
		open.push(i);
	}
	for (let f = 2; f < m.frames; f++)
		if (total[f] && frameKind(m, f) !== KIND_PROCESS)
			list.push({ frame: f, self: self[f], total: total[f] });
	return list.sort((a, b) => b.self - a.self || b.total - a.total || a.frame - b.frame);
}

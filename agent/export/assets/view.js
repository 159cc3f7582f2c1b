/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page: builds the elements around the canvas, owns the state `g`, and turns pointer and keys
 * into changes of it. All text from the profile goes through textContent. Works as a page of its
 * own and inside the foreignObject of an SVG, where neither document.body nor innerHTML exist.
 */

const XHTML = 'http://www.w3.org/1999/xhtml', SVG = 'http://www.w3.org/2000/svg';
const ICONS = {
	search: 'M11.5 11.5 15 15M7 13A6 6 0 1 0 7 1a6 6 0 0 0 0 12z',
	table: 'M2 3h12M2 8h8M2 13h5',
	flip: 'M5 14V2m0 0L2 5m3-3 3 3M11 2v12m0 0 3-3m-3 3-3-3',
	theme: 'M8 1.5a6.5 6.5 0 1 0 0 13zM8 1.5a6.5 6.5 0 0 1 0 13',
	reset: 'M2.5 8a5.5 5.5 0 1 0 1.8-4.1M2.5 1.5V5H6',
	help: 'M5.8 6a2.3 2.3 0 1 1 3.2 2.1c-.7.3-1 .8-1 1.6M8 12.2v.1',
};
const KEYS = [
	[['\u2190', '\u2192'], 'the box before or after it, on the same level'],
	[['\u2191', '\u2193'], 'the caller or the callee, as they are drawn'],
	[['Enter'], 'zoom to the box'],
	[['Backspace'], 'zoom out to its caller'],
	[['Esc'], 'leave: search, then zoom'],
	[['/'], 'search; part of a name, or a regular expression with .*'],
	[['n', 'N'], 'the next or previous match'],
	[['f'], 'hottest functions'],
	[['i'], 'turn it over: icicles or flames'],
	[['t'], 'light or dark'],
	[['?'], 'this help'],
];

function element(name, options, ...children) {
	const e = document.createElementNS(XHTML, name);

	for (const [key, value] of Object.entries(options || {})) {
		if (key.startsWith('on'))
			e.addEventListener(key.slice(2), value);
		else if (value !== null && value !== undefined && value !== false)
			e.setAttribute(key, value === true ? '' : value);
	}
	e.append(...children.filter((c) => c !== null && c !== undefined));
	return e;
}

function icon(name) {
	const s = document.createElementNS(SVG, 'svg'), p = document.createElementNS(SVG, 'path');

	s.setAttribute('viewBox', '0 0 16 16');
	s.setAttribute('aria-hidden', 'true');
	for (const [key, value] of [['d', ICONS[name]], ['fill', 'none'], ['stroke', 'currentColor'],
		['stroke-width', '1.6'], ['stroke-linecap', 'round'], ['stroke-linejoin', 'round']])
		p.setAttribute(key, value);
	s.append(p);
	return s;
}

/* A small flame graph as the mark of the page. */
function mark() {
	const s = document.createElementNS(SVG, 'svg');

	s.setAttribute('viewBox', '0 0 26 26');
	s.setAttribute('class', 'tp-mark');
	s.setAttribute('aria-hidden', 'true');
	for (const [x, y, w, fill] of [[1, 20, 24, '#9a3412'], [1, 14, 17, '#c2410c'], [19, 14, 6, '#ea580c'],
		[3, 8, 11, '#f97316'], [5, 2, 5, '#fbbf24']]) {
		const r = document.createElementNS(SVG, 'rect');

		for (const [key, value] of Object.entries({ x, y, width: w, height: 5, rx: 1.4, fill }))
			r.setAttribute(key, value);
		s.append(r);
	}
	return s;
}

function percent(part, whole) {
	const p = whole ? 100 * part / whole : 0;

	return (p >= 99.95 || p === 0 ? p.toFixed(0) : p >= 0.1 ? p.toFixed(1) : p.toPrecision(1)) + '\u2009%';
}

function time(ns) {
	if (ns >= 1e9)
		return (ns / 1e9).toFixed(2) + '\u2009s';
	return ns >= 1e6 ? (ns / 1e6).toFixed(1) + '\u2009ms' : (ns / 1e3).toFixed(0) + '\u2009\u00b5s';
}

function number(n) {
	return n.toLocaleString('en').replaceAll(',', '\u2009');
}

/* ---- Parts of the page ---------------------------------------------------------------------- */

function makeFacts(data, m) {
	const list = element('dl', { class: 'tp-facts' });
	const add = (name, value, warn) => list.append(element('div', {},
		element('dt', {}, name), element('dd', { class: warn ? 'warn' : null }, value)));
	const complete = data.samples ? data.complete / data.samples : 1;
	const named = data.frames ? data.named / data.frames : 1;
	const value = m.selfValue.reduce((a, b) => a + b, 0);

	add('event', (data.event || 'unknown') +
		(data.period ? ' at ' + Math.round(1e9 / data.period) + '\u2009Hz' : ''));
	if (data.duration)
		add('duration', time(data.duration));
	add('samples', number(data.samples));
	add('CPU time', time(value) + (data.duration ?
		' (' + (value / data.duration).toFixed(2) + ' cores)' : ''));
	add('complete stacks', percent(data.complete, data.samples), complete < 0.95);
	add('named frames', percent(data.named, data.frames), named < 0.95);
	add('lost', number(data.lost), data.lost > 0);
	if (data.minCount > 1)
		add('joined', 'boxes under ' + number(data.minCount) + ' samples');
	if (data.time)
		add('at', new Date(data.time).toISOString().replace('T', ' ').slice(0, 19) + ' UTC');
	return list;
}

function makeLegend(g) {
	const m = g.m, colour = new Map(), order = [4, 0, 5, 2, 1, 3];

	for (let i = 1; i < m.n; i++)
		if (!colour.has(frameKind(m, m.frame[i])))
			colour.set(frameKind(m, m.frame[i]), frameColour(m, m.frame[i]));
	return element('div', { class: 'tp-legend', 'aria-hidden': 'true' }, ...order
		.filter((k) => colour.has(k))
		.map((k) => {
			const swatch = element('b');

			g.swatches.push([swatch, colour.get(k)]);
			return element('span', {}, swatch, KINDS[k]);
		}));
}

/* The first level of the tree are the processes. */
function makeProcesses(g) {
	const m = g.m;
	const select = element('select', { 'aria-label': 'Process', onchange: () => zoomTo(g, +select.value) },
		element('option', { value: 0 }, 'all processes'));
	const row = (m.rows[1] || []).filter((i) => frameKind(m, m.frame[i]) === KIND_PROCESS);

	for (const i of row.slice(0, 300))
		select.append(element('option', { value: i },
			frameName(m, m.frame[i]).slice(0, 60) + '  ' + percent(m.value[i], m.value[0])));
	select.hidden = row.length < 2;
	return select;
}

function makeButton(g, name, label, key, onclick) {
	return element('button', { type: 'button', class: 'tp-button', title: label + ' (' + key + ')',
		'aria-label': label, onclick }, icon(name));
}

function makeSearch(g) {
	g.input = element('input', { type: 'text', placeholder: 'Search functions and modules', spellcheck: 'false',
		autocomplete: 'off', 'aria-label': 'Search', oninput: () => search(g),
		onkeydown: (e) => searchKey(g, e) });
	g.found = element('span', { class: 'tp-found', role: 'status' });
	g.mode = element('button', { type: 'button', class: 'tp-mode', 'aria-pressed': 'false',
		title: 'Regular expression', 'aria-label': 'Regular expression', onclick: () => {
			g.regexp = !g.regexp;
			g.mode.setAttribute('aria-pressed', g.regexp);
			search(g);
		} }, '.*');
	g.searchBox = element('div', { class: 'tp-search', role: 'search' }, icon('search'), g.input, g.found, g.mode);
	return g.searchBox;
}

function makeHelp(g) {
	const list = element('dl');

	for (const [keys, text] of KEYS)
		list.append(element('dt', {}, ...keys.map((k) => element('kbd', {}, k))), element('dd', {}, text));
	return element('div', { class: 'tp-help', hidden: true, onclick: () => showHelp(g, false) },
		element('div', { role: 'dialog', 'aria-label': 'Keys' }, element('h2', {}, 'Keys'), list));
}

function makeView(g) {
	g.canvas = element('canvas', { tabindex: 0, role: 'application',
		'aria-label': 'Flame graph. Arrow keys move, Enter zooms, question mark shows all keys.' });
	g.spacer = element('div');
	g.empty = element('div', { class: 'tp-empty', hidden: true }, 'No samples were taken.');
	g.view = element('div', { class: 'tp-view' }, g.canvas, g.spacer, g.empty);
	g.side = element('aside', { class: 'tp-side', hidden: true, 'aria-label': 'Hottest functions' });
	return element('div', { class: 'tp-main' }, g.view, g.side);
}

function makePage(g) {
	const data = g.m.data;

	g.processes = makeProcesses(g);
	g.crumbs = element('nav', { class: 'tp-crumbs', 'aria-label': 'Zoom' });
	g.status = element('div', { class: 'tp-status' });
	g.live = element('div', { class: 'tp-quiet', 'aria-live': 'polite' });
	g.tip = element('div', { class: 'tp-tip', role: 'tooltip', hidden: true });
	g.help = makeHelp(g);
	g.tableButton = makeButton(g, 'table', 'Hottest functions', 'f', () => toggleTable(g));
	return element('div', { class: 'tp' },
		element('header', { class: 'tp-bar' }, mark(), element('h1', { class: 'tp-title', title: data.title }, data.title),
			element('div', { class: 'tp-tools' }, makeSearch(g), g.tableButton,
				makeButton(g, 'flip', 'Turn over', 'i', () => flip(g)),
				makeButton(g, 'reset', 'Reset zoom and search', 'Esc', () => reset(g)),
				makeButton(g, 'theme', 'Light or dark', 't', () => setTheme(g, !g.dark)),
				makeButton(g, 'help', 'Keys', '?', () => showHelp(g, true)))),
		makeFacts(data, g.m),
		element('div', { class: 'tp-trail' }, g.processes, g.crumbs, makeLegend(g)),
		makeView(g), g.status, g.live, g.tip, g.help);
}

/* ---- What is shown about one box ------------------------------------------------------------ */

function shares(g, node) {
	const m = g.m, list = [];

	if (g.zoom && node !== g.zoom)
		list.push(['of the zoom', m.value[g.zoom]]);
	if (node && m.parent[node] !== 0 && m.parent[node] !== g.zoom)
		list.push(['of its caller', m.value[m.parent[node]]]);
	return list;
}

function describe(g, node) {
	const m = g.m, f = m.frame[node];

	if (!node)
		return 'everything that was sampled';
	return [KINDS[frameKind(m, f)] + (f > FRAME_OTHER && !frameNamed(m, f) ? ', no symbol' : ''),
		frameModule(m, f), frameSource(m, f)].filter(Boolean).join('  \u00b7  ');
}

function fillTip(g, node) {
	const m = g.m, list = element('dl');
	const row = (name, count, value, part) => {
		const bar = element('i');

		bar.style.width = Math.min(100 * part, 100) + '%';
		list.append(element('dt', {}, name), element('dd', {}, count), element('dd', {}, value),
			element('dd', {}, element('b', {}, percent(part, 1))), element('div', { class: 'meter' }, bar));
	};

	row('total', number(m.count[node]), time(m.value[node]), m.value[node] / m.value[0]);
	row('self', number(m.selfCount[node]), time(m.own[node]), m.own[node] / m.value[0]);
	for (const [name, whole] of shares(g, node))
		row(name, '', '', m.value[node] / whole);
	g.tip.replaceChildren(element('h2', {}, frameName(m, m.frame[node])),
		element('p', {}, describe(g, node)), list);
}

function placeTip(g, x, y) {
	const box = g.tip.getBoundingClientRect(), home = g.root.getBoundingClientRect();
	const left = x - home.left + 16 + box.width > home.width ? x - home.left - box.width - 12 : x - home.left + 16;
	const top = y - home.top + 18 + box.height > home.height ? y - home.top - box.height - 12 : y - home.top + 18;

	g.tip.style.transform = 'translate(' + Math.max(4, left) + 'px,' + Math.max(4, top) + 'px)';
}

function showStatus(g) {
	const m = g.m, node = g.hover >= 0 ? g.hover : g.active && g.focus >= 0 ? g.focus : g.zoom;

	if (!m.value[0]) {
		g.status.replaceChildren(element('span', {}, 'No samples'));
		return;
	}
	g.status.replaceChildren(element('b', {}, frameName(m, m.frame[node])),
		element('span', { class: 'grow' }, describe(g, node)),
		element('span', {}, number(m.count[node]) + ' samples'),
		element('span', {}, time(m.value[node])),
		element('span', {}, percent(m.value[node], m.value[0]) + ' of all'),
		element('span', {}, percent(m.own[node], m.value[0]) + ' self'));
}

function announce(g, node) {
	const m = g.m;

	g.live.textContent = frameName(m, m.frame[node]) + ', ' + percent(m.value[node], m.value[0]) +
		', ' + number(m.count[node]) + ' samples';
}

/* ---- State ---------------------------------------------------------------------------------- */

function redraw(g) {
	if (g.queued)
		return;
	g.queued = true;
	requestAnimationFrame(() => {
		g.queued = false;
		drawGraph(g);
	});
}

function resize(g) {
	const width = g.view.clientWidth, height = g.view.clientHeight;

	g.ratio = window.devicePixelRatio || 1;
	g.width = width;
	g.height = height;
	g.canvas.width = Math.round(width * g.ratio);
	g.canvas.height = Math.round(height * g.ratio);
	g.canvas.style.width = width + 'px';
	g.canvas.style.height = height + 'px';
	g.spacer.style.height = Math.max(0, graphHeight(g) - height) + 'px';
	g.scroll = g.view.scrollTop;
	drawGraph(g);
}

/* Moves the window to the zoomed node, smoothly where that is wanted. */
function moveWindow(g) {
	const m = g.m, from = [g.x, g.span], to = [m.x[g.zoom], m.value[g.zoom] || 1];
	const still = matchMedia('(prefers-reduced-motion: reduce)').matches || g.span <= 0;
	const start = performance.now();
	const turn = ++g.turn;
	const step = (now) => {
		const t = still ? 1 : Math.min((now - start) / 190, 1), ease = 1 - (1 - t) ** 3;

		if (turn !== g.turn)
			return;
		g.x = from[0] + (to[0] - from[0]) * ease;
		g.span = from[1] + (to[1] - from[1]) * ease;
		drawGraph(g);
		if (t < 1)
			requestAnimationFrame(step);
	};

	step(start);
}

function zoomTo(g, node) {
	g.zoom = node;
	g.focus = node;
	g.zoomDepth = g.m.depth[node];
	g.deepest = depthBelow(g.m, node);
	g.hover = g.sameFrame = -1;
	g.tip.hidden = true;
	resize(g);
	reveal(g, node, true);
	moveWindow(g);
	showCrumbs(g);
	search(g);
	if (!g.side.hidden)
		fillTable(g);
	announce(g, node);
}

/* Scrolls a node's row into view; `start` brings it near the edge that the graph grows from. */
function reveal(g, node, start) {
	const top = rowTop(g, g.m.depth[node]), room = g.height - ROW;

	if (start && g.flames)
		g.view.scrollTop = node ? top - room + 4 * ROW : 1e9;
	else if (start)
		g.view.scrollTop = node ? Math.max(0, top - 3 * ROW) : 0;
	else if (top < g.view.scrollTop + ROW || top > g.view.scrollTop + room - ROW)
		g.view.scrollTop = top - g.height / 2;
	g.scroll = g.view.scrollTop;
}

function showCrumbs(g) {
	const m = g.m, path = pathOf(m, g.zoom), items = [];
	const shown = path.length > 7 ? [...path.slice(0, 2), -1, ...path.slice(-4)] : path;

	for (const node of shown) {
		if (items.length)
			items.push(element('i', {}, '\u203a'));
		if (node < 0) {
			items.push(element('i', {}, '\u2026'));
			continue;
		}
		items.push(element('button', { type: 'button', 'aria-current': node === g.zoom ? 'true' : null,
			title: frameName(m, m.frame[node]), onclick: () => zoomTo(g, node) },
		frameName(m, m.frame[node]).slice(0, 200)));
	}
	g.crumbs.replaceChildren(...items);
	g.processes.value = path.length > 1 && g.processes.querySelector('option[value="' + path[1] + '"]') ? path[1] : 0;
	showStatus(g);
}

function search(g) {
	const text = g.input.value;

	g.searchBox.classList.remove('bad');
	try {
		g.hits = searchFrames(g.m, text, g.regexp);
		const cover = g.hits ? searchCover(g.m, g.hits, g.zoom) : null;

		g.found.textContent = cover ? percent(cover.share, 1) : '';
		g.found.title = cover ? cover.boxes + ' matches cover ' + percent(cover.share, 1) +
			(g.zoom ? ' of the zoom' : ' of all') : '';
	} catch (e) {
		g.hits = null;
		g.found.textContent = 'not a pattern';
		g.searchBox.classList.add('bad');
	}
	redraw(g);
}

function searchFor(g, text) {
	g.regexp = false;
	g.mode.setAttribute('aria-pressed', 'false');
	g.input.value = text;
	search(g);
}

function reset(g) {
	searchFor(g, '');
	zoomTo(g, 0);
}

function flip(g) {
	g.flames = !g.flames;
	resize(g);
	reveal(g, g.zoom, true);
	redraw(g);
}

function setTheme(g, dark) {
	const style = getComputedStyle(g.root);

	g.dark = dark;
	g.root.setAttribute('data-theme', dark ? 'dark' : 'light');
	g.colours = g.m.data.palette[dark ? 'dark' : 'light'];
	g.style = { text: style.getPropertyValue('--text'), accent: style.getPropertyValue('--accent'),
		hit: style.getPropertyValue('--hit'), hitText: dark ? '#1c0420' : '#ffffff' };
	for (const [swatch, colour] of g.swatches)
		swatch.style.background = g.colours[colour];
	redraw(g);
	if (!g.side.hidden)
		fillTable(g);
}

function showHelp(g, on) {
	g.help.hidden = !on;
	g.canvas.focus({ preventScroll: true });
}

function toggleTable(g) {
	g.side.hidden = !g.side.hidden;
	g.tableButton.setAttribute('aria-pressed', !g.side.hidden);
	if (!g.side.hidden)
		fillTable(g);
	resize(g);
	moveWindow(g);
}

function fillTable(g) {
	const m = g.m, list = hotFrames(m, g.zoom).slice(0, 200), body = element('tbody');
	const most = list.length ? Math.max(list[0].self, 1) : 1;

	for (const item of list) {
		const bar = element('span', { class: 'bar' }), name = frameName(m, item.frame);

		bar.style.width = 'calc((100% - 8px) * ' + item.self / most + ')';
		bar.style.background = g.colours[frameColour(m, item.frame)];
		body.append(element('tr', {}, element('td', {}, percent(item.self, m.value[g.zoom])),
			element('td', {}, percent(item.total, m.value[g.zoom])),
			element('td', {}, bar, element('button', { type: 'button',
				title: name + '\n' + frameModule(m, item.frame), onclick: () => searchFor(g, name) },
			name.slice(0, 300)))));
	}
	g.side.replaceChildren(element('table', {}, element('thead', {}, element('tr', {},
		element('th', {}, 'self'), element('th', {}, 'total'), element('th', {}, 'function'))), body));
}

/* ---- Pointer and keys ----------------------------------------------------------------------- */

function hover(g, event) {
	const box = g.canvas.getBoundingClientRect();
	const node = nodeAt(g, event.clientX - box.left, event.clientY - box.top);

	if (node !== g.hover) {
		g.hover = node;
		g.sameFrame = node >= 0 ? g.m.frame[node] : -1;
		g.view.classList.toggle('over', node >= 0);
		g.tip.hidden = node < 0;
		if (node >= 0)
			fillTip(g, node);
		showStatus(g);
		redraw(g);
	}
	if (node >= 0)
		placeTip(g, event.clientX, event.clientY);
}

function leave(g) {
	g.hover = g.sameFrame = -1;
	g.tip.hidden = true;
	showStatus(g);
	redraw(g);
}

/* The nearest box that is wide enough to be seen, in steps of `by` on the level of the focus. */
function sideways(g, by) {
	const m = g.m, row = m.rows[m.depth[g.focus]], scale = g.width / m.value[g.zoom];
	let i = row.indexOf(g.focus) + by;

	while (i >= 0 && i < row.length && m.value[row[i]] * scale < BOX_MIN)
		i += by;
	const node = row[i];

	return node !== undefined && node >= g.zoom && node < m.end[g.zoom] ? node : g.focus;
}

function downwards(g) {
	const child = g.focus + 1;

	return child < g.m.end[g.focus] ? child : g.focus;
}

function nextMatch(g, by) {
	const m = g.m;
	let i = g.focus;

	if (!g.hits)
		return g.focus;
	do {
		i += by;
		if (i >= m.end[g.zoom])
			i = g.zoom;
		else if (i < g.zoom)
			i = m.end[g.zoom] - 1;
	} while (i !== g.focus && !g.hits[m.frame[i]]);
	return i;
}

function moveFocus(g, node) {
	g.focus = node;
	g.hover = g.sameFrame = -1;
	g.tip.hidden = true;
	reveal(g, node, false);
	showStatus(g);
	announce(g, node);
	redraw(g);
}

function escape(g) {
	if (!g.help.hidden)
		showHelp(g, false);
	else if (g.input.value)
		searchFor(g, '');
	else if (g.zoom)
		zoomTo(g, 0);
	g.canvas.focus({ preventScroll: true });
}

function searchKey(g, event) {
	if (event.key === 'Enter') {
		g.canvas.focus({ preventScroll: true });
		moveFocus(g, nextMatch(g, 1));
	} else if (event.key === 'Escape') {
		escape(g);
	} else {
		event.stopPropagation();
		return;
	}
	event.stopPropagation();
	event.preventDefault();
}

/* Keys of the whole page. */
function pageKey(g, event) {
	const actions = {
		'/': () => { g.input.focus(); g.input.select(); }, '?': () => showHelp(g, g.help.hidden),
		Escape: () => escape(g), i: () => flip(g), t: () => setTheme(g, !g.dark), f: () => toggleTable(g),
		n: () => moveFocus(g, nextMatch(g, 1)), N: () => moveFocus(g, nextMatch(g, -1)),
	};

	if (event.ctrlKey || event.metaKey || event.altKey || event.target === g.processes)
		return;
	if (!Object.hasOwn(actions, event.key))
		return;
	actions[event.key]();
	event.preventDefault();
}

/* Keys that move the focus: only where the canvas has it. */
function canvasKey(g, event) {
	const m = g.m, out = () => moveFocus(g, g.focus === g.zoom ? g.focus : m.parent[g.focus]);
	const inwards = () => moveFocus(g, downwards(g));
	const actions = {
		ArrowLeft: () => moveFocus(g, sideways(g, -1)), ArrowRight: () => moveFocus(g, sideways(g, 1)),
		ArrowUp: g.flames ? inwards : out, ArrowDown: g.flames ? out : inwards,
		Enter: () => zoomTo(g, g.focus), ' ': () => zoomTo(g, g.focus), Home: () => moveFocus(g, g.zoom),
		Backspace: () => zoomTo(g, m.parent[g.zoom]),
	};

	if (event.ctrlKey || event.metaKey || event.altKey || !m.value[0] || !Object.hasOwn(actions, event.key))
		return;
	actions[event.key]();
	event.preventDefault();
}

function listen(g) {
	g.canvas.addEventListener('pointermove', (e) => hover(g, e));
	g.canvas.addEventListener('pointerleave', () => leave(g));
	g.canvas.addEventListener('click', (e) => {
		const box = g.canvas.getBoundingClientRect();
		const node = nodeAt(g, e.clientX - box.left, e.clientY - box.top);

		if (node >= 0)
			zoomTo(g, node);
	});
	g.canvas.addEventListener('focus', () => { g.active = g.canvas.matches(':focus-visible'); redraw(g); });
	g.canvas.addEventListener('blur', () => { g.active = false; showStatus(g); redraw(g); });
	g.canvas.addEventListener('keydown', (e) => { g.active = true; canvasKey(g, e); });
	g.view.addEventListener('scroll', () => { g.scroll = g.view.scrollTop; redraw(g); });
	document.addEventListener('keydown', (e) => pageKey(g, e));
	new ResizeObserver(() => { leave(g); resize(g); }).observe(g.view);
	matchMedia('(prefers-color-scheme: dark)').addEventListener('change', (e) => setTheme(g, e.matches));
}

/* In an SVG the static picture makes room for the page. */
function mountPoint() {
	const top = document.documentElement;

	if (top.namespaceURI !== SVG)
		return document.body;
	document.getElementById('tephra-picture').remove();
	top.removeAttribute('viewBox');
	top.removeAttribute('role');
	top.setAttribute('width', '100%');
	top.setAttribute('height', '100%');
	const place = document.getElementById('tephra-app');

	place.removeAttribute('display');
	return place;
}

function start() {
	const data = JSON.parse(document.getElementById('tephra-data').textContent);
	const m = makeModel(data);
	const g = { m, x: 0, span: m.value[0] || 1, zoom: 0, zoomDepth: 0, deepest: depthBelow(m, 0), focus: 0,
		hover: -1, sameFrame: -1, hits: null, regexp: false, flames: false, active: false, dark: false,
		scroll: 0, width: 0, height: 0, ratio: 1, turn: 0, swatches: [],
		widths: new Float32Array(m.frames).fill(-1) };

	g.root = makePage(g);
	g.context = g.canvas.getContext('2d');
	mountPoint().append(g.root);
	g.empty.hidden = m.value[0] > 0;
	setTheme(g, matchMedia('(prefers-color-scheme: dark)').matches);
	resize(g);
	showCrumbs(g);
	listen(g);
	/* For tests and the curious. */
	window.tephra = { state: g, model: m, rectOf: (node) => rectOf(g, node) };
}

start();

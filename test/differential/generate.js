'use strict';

// Generates the cases: a template, variables, partials, and whether HTML is escaped.
//
// A template is a list of pieces, because some facts about a tag are hard to see in the source:
//   { text }                                     text between tags
//   { tag, sigil, name, padded, open, close }    a tag: its source, its contents, whether white
//                                                space precedes the sigil, and the current
//                                                delimiters
// Tags that mustache.js does not know are left out, because it would read them in another way:
// {{<parents}}, {{$blocks}}, {{>*dynamic}}. Variables contain no NUL and no lone surrogate, because
// jsonb cannot store them.

const NAMES = ['a', 'b', 'c', 'd', 'list', 'person', 'größe', 'x-1', 'length', '0', 'a.b'];
const PARTIALS = ['p', 'q', 'with-dash', 'deep/er'];
const DELIMITERS = [['<%', '%>'], ['[', ']'], ['|', '|'], ['((', '))'], ['$$', '$$'], ['«', '»'], ['<<<', '>>'], ['{{', '}}']];
const TEXT = [...'abc xyz.,:;-_\'"&<>/`=#^!}\\%', 'é', 'ß', '漢', '😀', '\u00a0', '&amp;', '{ ', 'x\ty'];
const VALUE = [...'abc 0<>&"\'/`=\\{}\n\r\t', 'é', '漢', '😀', '{{a}}', '{{{', '</b>', '&lt;', '\u2028', '\u0001'];
const NUMBERS = [0, 1, -1, 7, 42, 0.5, -3.25, 1e6, 123456789012, 1e21, 2.5e-7, -1e30];

// ---- Variables ----

// Some names occur more often, so that look-up finds them at several levels.
function plainName(random) {
	return NAMES[Math.floor(NAMES.length * random.next() ** 2)];
}

function scalar(random) {
	switch (random.weighted({ string: 5, empty: 1, number: 3, boolean: 2, null: 1 })) {
		case 'string':
			return random.string(VALUE, 1 + random.below(8));
		case 'empty':
			return '';
		case 'number':
			return random.pick(NUMBERS);
		case 'boolean':
			return random.chance(0.5);
		default:
			return null;
	}
}

function value(random, depth) {
	const kind = depth <= 0 ? 'scalar' : random.weighted({ scalar: 5, object: 3, list: 3 });
	if (kind === 'scalar')
		return scalar(random);
	if (kind === 'object')
		return object(random, depth - 1);
	return Array.from({ length: random.below(4) }, () => value(random, depth - 1));
}

function object(random, depth) {
	const members = {};
	for (let i = random.below(6); i > 0; i--)
		members[plainName(random)] = value(random, depth);
	return members;
}

// Returns a value whose member "more" is another such value, and so on, for this number of levels.
function chain(random, length) {
	const more = length > 0 ? chain(random, length - 1) : random.pick([null, false, '', []]);
	return { value: scalar(random), more: length > 0 && random.chance(0.3) ? [more, chain(random, 0)] : more };
}

// ---- Templates ----

class TemplateWriter {
	constructor(random, variables, partials) {
		this.random = random;
		this.variables = variables;
		this.partials = partials;
		this.delimiters = ['{{', '}}'];
		this.pieces = [];
		this.lineBreak = random.chance(0.25) ? '\r\n' : '\n';
		this.partBreaks = random.chance(0.1);
	}

	text(text) {
		// Only a tag may look like the beginning of a tag, even together with the following text.
		const open = this.delimiters[0];
		let kept = text;
		while (kept.includes(open) || kept.endsWith(open[0]))
			kept = kept.replace(open, '').replace(/.$/su, (last) => (last === open[0] ? '' : last));
		if (kept !== '')
			this.pieces.push({ text: kept });
	}

	words() {
		this.text(this.random.string(TEXT, 1 + this.random.below(6)));
	}

	endLine() {
		this.text(this.partBreaks && this.random.chance(0.3) ? this.random.pick(['\n', '\r\n', '\r']) : this.lineBreak);
	}

	blanks() {
		if (this.random.chance(0.03))
			return this.random.pick(['\f', '\u00a0', ' \u2003', '\v']);
		return this.random.weighted({ '': 4, ' ': 2, '  ': 2, '\t': 1, ' \t ': 1 });
	}

	padding() {
		return this.random.weighted({ '': 12, ' ': 6, '  ': 1, '\t': 1, '\n': 0.5, ' \r\n ': 0.3 });
	}

	tag(sigil, content, ending = '') {
		const [open, close] = this.delimiters;
		const padded = sigil !== '' && sigil !== '{' && this.random.chance(0.002);
		this.pieces.push({
			tag: `${open}${padded ? ' ' : ''}${sigil}${this.padding()}${content}${this.padding()}${ending}${close}`,
			sigil, name: content, padded, open, close,
		});
	}

	name() {
		const random = this.random;
		if (random.chance(0.15))
			return '.';
		if (random.chance(0.004))
			return random.pick(['a b', '', 'a..b', '.a', 'a.', 'toString', 'constructor', 'person.constructor']);
		if (random.chance(0.5))
			return this.path();
		return Array.from({ length: 1 + (random.chance(0.25) ? 1 + random.below(2) : 0) }, () => plainName(random)).join('.');
	}

	// A dotted name that exists, from some object among the variables.
	path() {
		const random = this.random;
		const parts = [];
		let at = this.variables;
		while (at !== null && typeof at === 'object' && Object.keys(at).length > 0 && random.chance(0.8)) {
			const key = random.pick(Object.keys(at));
			if (!Array.isArray(at))
				parts.push(key);
			at = at[key];
		}
		return parts.slice(-1 - random.below(3)).join('.') || plainName(random);
	}

	variable() {
		const kind = this.random.weighted({ '': 6, '&': 1, '{': 2 });
		this.tag(kind, this.name(), kind === '{' ? '}' : '');
	}

	comment() {
		this.tag('!', this.random.pick(['', 'note', ' of\n two lines', '{{a', 'a } b', 'é = # ^']).split(this.delimiters[1]).join(''));
	}

	setDelimiters() {
		const next = this.random.pick(DELIMITERS);
		const [open, close] = this.delimiters;
		const space = this.random.pick(['', ' ']);
		const tag = `${open}=${space}${next.join(this.random.pick([' ', '  ', '\n']))}${space}=${close}`;
		this.pieces.push({ tag, sigil: '=', name: '', padded: false, open, close });
		this.delimiters = next;
	}

	partial() {
		this.tag('>', this.random.chance(0.9) && this.partials.length > 0 ? this.random.pick(this.partials) : 'none');
	}

	// A tag that may stand alone on a line.
	loneTag() {
		switch (this.random.weighted({ comment: 2, partial: 3, delimiters: 1 })) {
			case 'comment':
				return this.comment();
			case 'partial':
				return this.partial();
			default:
				return this.setDelimiters();
		}
	}

	// Writes the output of write() on its own line.
	onOwnLine(write) {
		this.text(this.blanks());
		write();
		this.text(this.blanks());
		this.endLine();
	}

	section(depth) {
		const sigil = this.random.pick(['#', '#', '^']);
		const name = this.name();
		const ownLines = this.random.chance(0.6);
		const opening = () => this.tag(sigil, name);
		const closing = () => this.tag('/', name);

		ownLines ? this.onOwnLine(opening) : opening();
		ownLines && this.random.chance(0.8) ? this.lines(depth - 1) : this.inline(depth - 1);
		if (ownLines && this.random.chance(0.9))
			return this.onOwnLine(closing);
		closing();
		if (ownLines)
			this.inline(0);
	}

	inline(depth) {
		for (let i = this.random.below(5); i > 0; i--) {
			const kind = this.random.weighted({ words: 4, variable: 4, section: depth > 0 ? 1.5 : 0, blanks: 1, lone: 0.7 });
			if (kind === 'words')
				this.words();
			else if (kind === 'variable')
				this.variable();
			else if (kind === 'section')
				this.section(depth);
			else if (kind === 'blanks')
				this.text(this.blanks());
			else
				this.loneTag();
		}
	}

	lines(depth) {
		for (let i = this.random.below(4); i > 0; i--) {
			const kind = this.random.weighted({ inline: 4, section: depth > 0 ? 2 : 0, lone: 2, empty: 0.5 });
			if (kind === 'section')
				this.section(depth);
			else if (kind === 'lone')
				this.onOwnLine(() => this.loneTag());
			else {
				if (kind === 'inline') {
					this.text(this.blanks());
					this.inline(depth);
				}
				this.endLine();
			}
		}
		if (this.random.chance(0.3))
			this.inline(depth);
	}

	// Makes one mistake.
	spoil() {
		const at = this.random.below(this.pieces.length + 1);
		switch (this.random.below(3)) {
			case 0:
				this.pieces.splice(at, 1);
				break;
			case 1:
				this.tag('/', this.random.pick(NAMES));
				break;
			default:
				this.text('x');
				this.pieces.push({ text: `${this.delimiters[0]}${this.random.pick(['', '{', '#', '&', '!'])}a` });
		}
	}
}

function template(random, depth, variables, partials) {
	const writer = new TemplateWriter(random, variables, partials);
	random.chance(0.3) ? writer.inline(depth) : writer.lines(depth);
	if (random.chance(0.02))
		writer.spoil();
	return writer.pieces;
}

// Returns a partial that includes itself until the chain of values ends.
function recursivePartial(random) {
	const writer = new TemplateWriter(random, {}, []);
	const body = () => {
		writer.onOwnLine(() => writer.tag('#', 'more'));
		random.chance(0.5) ? writer.onOwnLine(() => writer.tag('>', 'recursive')) : writer.tag('>', 'recursive');
		writer.onOwnLine(() => writer.tag('/', 'more'));
	};
	writer.words();
	writer.tag('', 'value');
	writer.endLine();
	body();
	return writer.pieces;
}

function sourceOf(pieces) {
	return pieces.map((piece) => piece.text ?? piece.tag).join('');
}

function generateCase(random) {
	const partials = {};
	const variables = random.chance(0.97) ? object(random, 3) : value(random, 2);

	// A partial may include those before it, so no recursion is endless.
	for (const name of PARTIALS)
		if (random.chance(0.5))
			partials[name] = template(random, 1, variables, Object.keys(partials));
	const usable = Object.keys(partials);
	if (random.chance(0.05) && variables !== null && typeof variables === 'object' && !Array.isArray(variables)) {
		partials.recursive = recursivePartial(random);
		Object.assign(variables, chain(random, random.below(4)));
		usable.push('recursive', 'recursive');
	}
	return { template: template(random, 3, variables, usable), variables, partials, escapeHtml: random.chance(0.8) };
}

module.exports = { generateCase, sourceOf };

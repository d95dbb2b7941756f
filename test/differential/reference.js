'use strict';

// The second opinion: mustache.js, changed where our engine differs on purpose.
//
// Each difference changes mustache.js, or the template that it gets, so that it does the same as
// our engine. So a difference accepts exactly one other output. It never excludes a whole case.

const mustache = require('mustache');

const DIFFERENCES = {
	escaping: 'mustache.js also escapes / ` and =; the spec asks for & < > " and leaves the rest open',
	json: 'lists and objects print as JSON, not as "[object Object]" or joined by commas',
	numbers: 'very large and very small numbers print in full, not with an exponent',
	sectionOverTrue: 'a section over true makes it the current value, as over any other value that is no list',
	dottedNames: 'the first part of a dotted name decides where the rest is looked for (spec, interpolation: Context Precedence)',
	members: 'names are members of objects alone; mustache.js also finds what JavaScript adds, and fails in a null',
	names: 'a name that is empty, or has an empty part or white space in it, is an error',
	sigils: 'white space before a sigil makes it a part of the name: "{{ #a}}" is a variable',
	lonelyTags: 'a tag is standalone only if no other tag is on its line (spec, standalone tags)',
	whiteSpace: 'only blanks and tabs may stand beside a standalone tag',
	inlinePartials: 'only a standalone partial is indented; mustache.js indents what follows the first line of others too',
	closingTags: 'in an indented partial, a line that goes on behind a closing tag is indented there, not within the section',
	emptyLines: 'in an indented partial, a line is empty, and stays so, that has nothing but CR LF, or tags that show nothing',
};

// A name that no variable has. And characters that no case has: one marks a line that is to be
// indented, and the other a line that is not.
const NOTHING = '\u0001';
const INDENT_HERE = '\u0002';
const DO_NOT_INDENT = '\u0003';

// ---- Values ----

// Returns the digits of a number, without an exponent.
function numberText(number) {
	const [, sign, whole, , fraction = '', exponent = '0'] = String(number).match(/^(-?)(\d+)(\.(\d+))?(?:e([+-]\d+))?$/);
	const point = whole.length + Number(exponent);
	const digits = whole + fraction;
	if (point <= 0)
		return `${sign}0.${'0'.repeat(-point)}${digits}`;
	if (point >= digits.length)
		return sign + digits + '0'.repeat(point - digits.length);
	return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
}

// Returns a value as jsonb prints it: keys are ordered by length, then by bytes.
function jsonText(value) {
	if (Array.isArray(value))
		return `[${value.map(jsonText).join(', ')}]`;
	if (typeof value === 'number')
		return numberText(value);
	if (value === null || typeof value !== 'object')
		return JSON.stringify(value);
	const keys = Object.keys(value).map((key) => Buffer.from(key));
	keys.sort((a, b) => a.length - b.length || Buffer.compare(a, b));
	return `{${keys.map((key) => `${JSON.stringify(String(key))}: ${jsonText(value[key])}`).join(', ')}}`;
}

function escapeFive(text) {
	const entities = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
	return String(text).replace(/[&<>"']/g, (character) => entities[character]);
}

// ---- Look-up and rendering ----

class Context extends mustache.Context {
	constructor(view, parent, differences) {
		super(view, parent);
		this.differences = differences;
	}

	push(view) {
		return new Context(view, this, this.differences);
	}

	// Has the object the member, in which the rest of a dotted name is looked up?
	has(object, name, dotted) {
		if (this.differences.has('members'))
			return object !== null && typeof object === 'object' && !Array.isArray(object) && Object.hasOwn(object, name);
		if (typeof object === 'object')
			return name in object;
		return dotted && object !== undefined && Object.hasOwn(Object(object), name);
	}

	follow(view, parts) {
		let value = view;
		for (const part of parts) {
			if (value === null || value === undefined || !this.has(value, part, true))
				return undefined;
			value = value[part];
		}
		return value;
	}

	lookup(name) {
		const first = this.differences.has('dottedNames');
		if (name === '.' || !(first || this.differences.has('members')))
			return super.lookup(name);
		const parts = name.split('.');
		for (let context = this; context; context = context.parent) {
			if (first && this.has(context.view, parts[0], false))
				return this.follow(context.view, parts);
			const found = first ? undefined : this.follow(context.view, parts);
			if (found !== undefined)
				return found;
		}
		return undefined;
	}
}

class Writer extends mustache.Writer {
	constructor(differences) {
		super();
		this.differences = differences;
	}

	textOf(value) {
		if (typeof value === 'number' && this.differences.has('numbers'))
			return numberText(value);
		return typeof value === 'object' && this.differences.has('json') ? jsonText(value) : String(value);
	}

	unescapedValue(token, context) {
		const value = super.unescapedValue(token, context);
		return value === undefined ? value : this.textOf(value);
	}

	escapedValue(token, context, config) {
		const value = context.lookup(token[1]);
		if (value === null || value === undefined)
			return undefined;
		return (this.getConfigEscape(config) || mustache.escape)(this.textOf(value));
	}

	renderSection(token, context, partials, source, config) {
		if (this.differences.has('sectionOverTrue') && context.lookup(token[1]) === true)
			return this.renderTokens(token[4], context.push(true), partials, source, config);
		return super.renderSection(token, context, partials, source, config);
	}

	renderTokens(tokens, context, partials, source, config) {
		const outer = this.source;
		this.source = source;
		const text = super.renderTokens(tokens, context, partials, source, config);
		this.source = outer;
		return text;
	}

	renderPartial(token, context, partials, config) {
		let [type, name, start, end, indentation, tagIndex, lineHasNonSpace] = token;
		const standalone = !lineHasNonSpace && tagIndex === 0 && /^[ \t]*(\r?\n|$)/.test(this.source.slice(end));
		if (this.differences.has('inlinePartials') && !standalone)
			indentation = '';
		return super.renderPartial([type, name, start, end, indentation, tagIndex, lineHasNonSpace], context, partials, config);
	}

	indentPartial(partial, indentation, lineHasNonSpace) {
		const blanks = indentation.replace(/[^ \t]/g, '');
		const lines = partial.split('\n').map((line, number, all) => {
			const isEmpty = line === '\r' && number < all.length - 1 && this.differences.has('emptyLines');
			if (line === '' || isEmpty || line.includes(DO_NOT_INDENT) || (number === 0 && lineHasNonSpace))
				return line;
			return line.includes(INDENT_HERE) ? line.replace(INDENT_HERE, blanks + INDENT_HERE) : blanks + line;
		});
		return lines.join('\n');
	}
}

// ---- The template ----

// Returns a tag that prints nothing.
function nothing({ open, close }) {
	return { tag: `${open}&${NOTHING}${close}`, sigil: '&', name: NOTHING, open, close };
}

function isBadName(sigil, name) {
	if (name === '' || /\s/.test(name))
		return true;
	return sigil !== '>' && name !== '.' && name.split('.').includes('');
}

// Returns the replacement of a tag that our engine reads in another way than mustache.js.
function replaceTag(piece, differences) {
	const { sigil, name, open, close } = piece;
	const mistake = { ...piece, tag: `${open}/${NOTHING}${close}`, sigil: '/', name: NOTHING };

	if (piece.padded && differences.has('sigils'))
		return isBadName('', piece.tag.slice(open.length, -close.length).trim()) ? mistake : nothing(piece);
	if (!'!=/'.includes(sigil || ' ') && differences.has('names') && isBadName(sigil, name))
		return mistake;
	return piece;
}

// Returns the lines as mustache.js counts them: lists of pieces. Only the last piece of a line may
// end with a line break.
function linesOf(pieces) {
	const lines = [[]];
	for (const piece of pieces) {
		const parts = piece.tag === undefined ? piece.text.split(/(?<=\n)/).map((text) => ({ text })) : [piece];
		for (const part of parts) {
			lines.at(-1).push(part);
			if (part.text?.endsWith('\n'))
				lines.push([]);
		}
	}
	return lines;
}

// Does the line contain nothing but one tag that may stand alone? By the spec, such a line is not
// shown.
function isStandalone(line) {
	const text = line.map((piece) => piece.text ?? (isShown(piece) ? 'x' : '{')).join('');
	return /^[ \t]*\{[ \t]*(\r?\n)?$/.test(text);
}

function isShown(piece) {
	return piece.tag === undefined ? /\S/.test(piece.text) : ['', '&', '{'].includes(piece.sigil);
}

// Adds something that prints nothing to a line. Then mustache.js does not take it for a line of
// standalone tags, as our engine does not.
function holdLine(line, differences) {
	const tags = line.filter((piece) => piece.tag !== undefined);
	if (tags.length === 0 || isStandalone(line) || line.some(isShown) ||
		!differences.has(tags.length > 1 ? 'lonelyTags' : 'whiteSpace'))
		return line;
	const end = line.at(-1).text?.endsWith('\n') ? line.length - 1 : line.length;
	return [...line.slice(0, end), nothing(delimitersBehind(tags.at(-1))), ...line.slice(end)];
}

// Marks where a line is to be indented if it is shown and begins with tags that print nothing.
function markIndentation(line, differences) {
	const behind = line.findIndex((piece) => !'/!='.includes(piece.sigil || ' '));
	const rest = line.slice(behind);
	const isEmpty = rest.every((piece) => piece.name === NOTHING || /^\r?\n$/.test(piece.text));
	if (behind <= 0 || !line.some(isShown) || !differences.has(isEmpty ? 'emptyLines' : 'closingTags'))
		return line;
	return [...line.slice(0, behind).map(withoutLineBreaks), { text: isEmpty ? DO_NOT_INDENT : INDENT_HERE }, ...rest];
}

function withoutLineBreaks(piece) {
	return { ...piece, tag: piece.tag.replace(/\s+/g, ' ') };
}

function delimitersBehind(piece) {
	if (piece.sigil !== '=')
		return piece;
	const [open, close] = piece.tag.slice(piece.open.length + 1, -piece.close.length - 1).trim().split(/\s+/);
	return { open, close };
}

function sourceFor(pieces, differences) {
	const replaced = pieces.map((piece) => (piece.tag === undefined ? piece : replaceTag(piece, differences)));
	const lines = linesOf(replaced).map((line) => markIndentation(holdLine(line, differences), differences));
	return lines.flat().map((piece) => piece.text ?? piece.tag).join('');
}

// ---- The whole ----

// Returns the result of mustache.js with these differences for a case: { output } or { error }.
function render(testCase, differences) {
	const partials = {};
	const config = {};

	for (const [name, pieces] of Object.entries(testCase.partials))
		partials[name] = sourceFor(pieces, differences);
	if (!testCase.escapeHtml)
		config.escape = String;
	else if (differences.has('escaping'))
		config.escape = escapeFive;
	try {
		const context = new Context(testCase.variables, undefined, differences);
		const source = sourceFor(testCase.template, differences);
		const output = new Writer(differences).render(source, context, partials, config);
		return { output: output.replaceAll(INDENT_HERE, '').replaceAll(DO_NOT_INDENT, '') };
	} catch (error) {
		if (/^Unclosed tag/.test(error.message))
			return { error: 'tag' };
		if (/^(Unclosed|Unopened) section/.test(error.message))
			return { error: 'structure' };
		return { error: error.message };
	}
}

module.exports = { DIFFERENCES, render };

'use strict';

// Measures how long mustache.js and Handlebars take to render a mail. The templates are parsed or
// compiled before.
//
//   node render.js ENGINE DIRECTORY MAIL SECONDS [show]
//
// Prints microseconds of processor time per mail (subject, HTML and text). With "show" it prints
// those three instead, with a NUL between them.

const fs = require('node:fs');

const engines = {
	mustache(source, escapes) {
		const mustache = require('mustache');
		const writer = new mustache.Writer();
		const tokens = writer.parse(source);
		const config = escapes ? undefined : { escape: String };
		return (variables) => writer.renderTokens(tokens, new mustache.Context(variables), undefined, source, config);
	},
	handlebars(source, escapes) {
		const handlebars = require('handlebars');
		const template = handlebars.compile(source, { noEscape: !escapes });
		return (variables) => template(variables);
	},
};

const [engine, directory, mail, seconds, show] = process.argv.slice(2);
const read = (suffix) => fs.readFileSync(`${directory}/${mail}.${suffix}`, 'utf8');
const parts = ['subject', 'html', 'txt'].map((suffix) => engines[engine](read(`${suffix}.${engine}`), suffix === 'html'));
const variables = JSON.parse(read('json'));

function measure(time) {
	const start = process.cpuUsage();
	let mails = 0;
	let bytes = 0;
	let used;
	do {
		for (let i = 0; i < 200; i++)
			for (const part of parts)
				bytes += part(variables).length;
		mails += 200;
		const { user, system } = process.cpuUsage(start);
		used = user + system;
	} while (used < time * 1e6);
	return bytes > 0 ? used / mails : NaN;
}

if (show)
	process.stdout.write(parts.map((part) => part(variables)).join('\0'));
else {
	measure(Number(seconds));
	console.log(measure(Number(seconds)).toFixed(3));
}

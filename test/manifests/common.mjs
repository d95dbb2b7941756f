/* What the tests of the manifests share: TAP, and the objects of examples/kubernetes. */
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';

export const top = join(dirname(fileURLToPath(import.meta.url)), '../..');
let tests = 0;
let failed = 0;

export function ok(good, name, ...explanation) {
	console.log(`${good ? 'ok' : 'not ok'} ${++tests} - ${name}`);
	if (!good) {
		failed++;
		explanation.forEach(line => console.log(`# ${line}`));
	}
}

export function same(got, expected, name) {
	const [one, other] = [got, expected].map(value => JSON.stringify(value));
	ok(one === other, name, `got ${one}`, `expected ${other}`);
}

export function done() {
	console.log(`1..${tests}`);
	process.exitCode = failed > 0 ? 1 : 0;
}

export const read = file => readFileSync(join(top, file), 'utf8');
export const sorted = list => [...new Set(list)].sort();

export const manifests = readdirSync(join(top, 'examples/kubernetes')).filter(file => file.endsWith('.yaml')).map(file => `examples/kubernetes/${file}`);

export const documentsOf = file => parseAllDocuments(read(file), { strict: true, uniqueKeys: true });

// The objects by name: "KIND of FILE".
export const objects = Object.fromEntries(manifests.flatMap(file => documentsOf(file).map(document => document.toJS())
	.map(object => [`${object.kind} of ${file}`, object])));

#!/usr/bin/env node
/*
 * The workflows of .github must be valid for GitHub's own parser, and must name existing files.
 * TAP.
 */
import { readdirSync, existsSync } from 'node:fs';
import { register } from 'node:module';
import { join } from 'node:path';
import { parse } from 'yaml';
import { done, ok, read, same, sorted, top } from './common.mjs';

// GitHub's parser imports JSON without an import attribute, because its bundler allows that. Node
// requires the attribute.
register('data:text/javascript,' + encodeURIComponent(`
	export const load = (url, context, next) => url.endsWith('.json')
		? next(url, { ...context, importAttributes: { type: 'json' } })
		: next(url, context);`));
const { parseWorkflow, convertWorkflowTemplate } = await import('@actions/workflow-parser');

const makefile = ['Makefile', 'test/targets.mk', 'bench/targets.mk'].map(read).join('');
const trace = { info() {}, verbose() {}, error() {} };
const workflows = readdirSync(join(top, '.github/workflows')).map(file => `.github/workflows/${file}`);
const scripts = [];

async function problemsOfWorkflow(name, content) {
	const { context, value: parsed } = parseWorkflow({ name, content }, trace);
	const template = parsed && await convertWorkflowTemplate(context, parsed);
	return context.errors.getErrors().map(error => error.message).concat(template?.errors?.map(error => error.Message) ?? []);
}

for (const file of workflows) {
	same(await problemsOfWorkflow(file, read(file)), [], `${file} is a workflow`);
	for (const job of Object.values(parse(read(file)).jobs))
		scripts.push(...job.steps.filter(step => step.run).map(step => [file, step.run]));
}
ok((await problemsOfWorkflow('a', read(workflows[0]).replace('runs-on:', 'runs-at:'))).length > 0, 'an unknown word in a workflow is found');

for (const [file, script] of scripts) {
	const targets = [...script.matchAll(/(?:^|&&|\n)\s*make ([a-z-]+)/g)].map(([, target]) => target);
	const files = [...script.matchAll(/(?:-f|apply -f) ([\w./-]+\/[\w./-]+)/g)].map(([, name]) => name);

	for (const target of targets)
		ok(new RegExp(`^${target}:`, 'm').test(makefile), `${file}: there is a target ${target}`);
	for (const name of files)
		ok(existsSync(join(top, name)), `${file}: there is ${name}`);
}

const dockerfile = sorted([...read('examples/docker/Dockerfile').matchAll(/^ARG (\w+)/gm)].map(([, name]) => name));
for (const file of ['.github/workflows/test.yml', 'doc/kubernetes.md', 'doc/image-volume.md', 'examples/docker/Dockerfile']) {
	const given = [...read(file).matchAll(/--build-arg (\w+)=/g)].map(([, name]) => name);
	ok(given.length > 0 && given.every(name => dockerfile.includes(name)), `${file} gives the Dockerfile arguments that it has`, given);
}

const matrix = parse(read('.github/workflows/test.yml')).jobs.test.strategy.matrix.postgresql;
same(matrix, [15, 16, 17, 18, 19], 'every supported PostgreSQL is tested');

done();

#!/usr/bin/env node
/*
 * The manifests of examples/kubernetes and the workflows of .github are what Kubernetes, CloudNativePG and GitHub accept, and say
 * the same of the same things: TAP.
 *
 * Kubernetes' kinds are validated by kubernetes-models, made from its API's definitions; the workflows by GitHub's own parser;
 * CloudNativePG's Cluster by the schema beside this file, and with CNPG_CRD=FILE by the operator's definition. A field that no
 * definition asks for counts as wrong, as it does for kubectl.
 */
import { readFileSync, readdirSync, existsSync } from 'node:fs';
import { createRequire, register } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Ajv from 'ajv';
import { parse, parseAllDocuments } from 'yaml';

// GitHub's parser imports JSON as its bundler lets it; Node wants to be told that it is.
register('data:text/javascript,' + encodeURIComponent(`
	export const load = (url, context, next) => url.endsWith('.json')
		? next(url, { ...context, importAttributes: { type: 'json' } })
		: next(url, context);`));
const { parseWorkflow, convertWorkflowTemplate } = await import('@actions/workflow-parser');

const here = dirname(fileURLToPath(import.meta.url));
const top = join(here, '../..');
const require = createRequire(import.meta.url);
let tests = 0;
let failed = 0;

function ok(good, name, ...explanation) {
	console.log(`${good ? 'ok' : 'not ok'} ${++tests} - ${name}`);
	if (!good) {
		failed++;
		explanation.forEach(line => console.log(`# ${line}`));
	}
}

function same(got, expected, name) {
	const [one, other] = [got, expected].map(value => JSON.stringify(value));
	ok(one === other, name, `got ${one}`, `expected ${other}`);
}

const read = file => readFileSync(join(top, file), 'utf8');
const sorted = list => [...new Set(list)].sort();

// ---- Kubernetes ----

// The value, noting which of its fields somebody has read.
function watched(value, seen) {
	if (value === null || typeof value !== 'object')
		return value;
	const children = new Map();
	return new Proxy(value, {
		get(target, key) {
			if (typeof key === 'symbol' || !Object.hasOwn(target, key))
				return target[key];
			if (!children.has(key)) {
				const fields = { fields: new Map() };
				seen.fields.set(key, fields);
				children.set(key, watched(target[key], fields));
			}
			return children.get(key);
		}
	});
}

// Paths of fields that nobody has read. In what was not read at all there is nothing to tell apart.
function unread(value, seen, path = '') {
	if (value === null || typeof value !== 'object' || seen.fields.size === 0)
		return [];
	return Object.keys(value).flatMap(key =>
		seen.fields.has(key) ? unread(value[key], seen.fields.get(key), `${path}/${key}`) : [`${path}/${key}`]);
}

// What is wrong with an object of Kubernetes' own.
function problemsOf(object) {
	const Model = require(`kubernetes-models/${object.apiVersion}`)[object.kind];
	const seen = { fields: new Map() };

	if (!Model)
		return [`there is no ${object.kind} in ${object.apiVersion}`];
	try {
		Model.prototype.validate.call(watched(object, seen));
	} catch (error) {
		return [error.message];
	}
	return unread(object, seen).map(path => `${path} is unknown`);
}

const manifests = readdirSync(join(top, 'examples/kubernetes')).filter(file => file.endsWith('.yaml')).map(file => `examples/kubernetes/${file}`);
const objects = {};
for (const file of manifests) {
	const documents = parseAllDocuments(read(file), { strict: true, uniqueKeys: true });

	same(documents.flatMap(document => [...document.errors, ...document.warnings].map(String)), [], `${file} is YAML`);
	documents.map(document => document.toJS()).forEach(object => objects[`${object.kind} of ${file}`] = object);
}

const ownKinds = Object.entries(objects).filter(([, object]) => !object.apiVersion.includes('cnpg.io'));
for (const [name, object] of ownKinds)
	same(problemsOf(object), [], `${name} is valid`);

// The validation finds what is wrong: a type, a missing field, a wrong word, one in the wrong place.
const statefulSet = objects['StatefulSet of examples/kubernetes/statefulset.yaml'];
const changed = change => {
	const copy = structuredClone(statefulSet);
	change(copy.spec.template.spec.containers[0], copy);
	return problemsOf(copy).length;
};
ok(changed((container, set) => { set.spec.replicas = 'one'; }) > 0, 'a wrong type is found');
ok(changed((container, set) => { delete set.spec.selector; }) > 0, 'a missing field is found');
ok(changed(container => { container.envs = []; }) > 0, 'an unknown field is found');
ok(changed(container => { container.env[0].valueFrom = { secretKeyRef: { name: 'a', key: 'b', kee: 'c' } }; }) > 0, 'deep inside too');
ok(changed(container => { container.volumeMounts[0].volume = 'data'; }) > 0, 'and in a list');

// ---- CloudNativePG ----

const cluster = objects['Cluster of examples/kubernetes/cloudnativepg.yaml'];

// As the operator's definition has it, but for fields that it does not name.
function strict(schema) {
	if (schema === null || typeof schema !== 'object')
		return schema;
	if (Array.isArray(schema))
		return schema.map(strict);
	const copy = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, strict(value)]));
	if (copy.properties && copy.additionalProperties === undefined && !copy['x-kubernetes-preserve-unknown-fields'])
		copy.additionalProperties = false;
	return copy;
}

function problemsBySchema(schema, object) {
	const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
	const validate = ajv.compile(schema);
	return validate(object) ? [] : validate.errors.map(error => `${error.instancePath} ${error.message}`);
}

const schema = JSON.parse(read('test/manifests/cloudnative-pg-cluster.schema.json'));
same(problemsBySchema(schema, cluster), [], 'the Cluster is what CloudNativePG documents');
ok(problemsBySchema(schema, { ...cluster, spec: { ...cluster.spec, imagename: 'x:17' } }).length > 0, 'an unknown field is found in it');
if (process.env.CNPG_CRD) {
	const definition = parse(readFileSync(process.env.CNPG_CRD, 'utf8'), { maxAliasCount: -1 });
	const version = definition.spec.versions.find(({ name }) => `postgresql.cnpg.io/${name}` === cluster.apiVersion);
	const full = strict(version.schema.openAPIV3Schema);

	full.properties.metadata = { type: 'object' };
	same(problemsBySchema(full, cluster), [], 'the Cluster is what the operator defines');
	ok(problemsBySchema(full, { ...cluster, spec: { ...cluster.spec, imagename: 'x:17' } }).length > 0, 'the definition knows an unknown field');
}

// ---- What they say of each other ----

const secret = objects['Secret of examples/kubernetes/secret.yaml'];
const keys = ['FRONTEND_URL', 'SMTP_HOST', 'SMTP_PASSWORD', 'SMTP_PORT', 'SMTP_USER'];
const container = statefulSet.spec.template.spec.containers[0];

same(secret.metadata.name, 'rhesis-worker-secrets', 'the Secret has the name that Rhesis gives it');
same(sorted(Object.keys(secret.stringData)), keys, 'and its keys');

// The keys that a manifest takes from the Secret: as variables, and as files.
function taken(env, items) {
	const variables = env.filter(({ valueFrom }) => valueFrom?.secretKeyRef?.name === secret.metadata.name);

	same(variables.filter(({ name, valueFrom }) => name !== valueFrom.secretKeyRef.key), [], 'each variable is called like its key');
	return sorted([...variables.map(({ valueFrom }) => valueFrom.secretKeyRef.key), ...items.map(({ key }) => key)]);
}

const value = (env, name) => env.find(variable => variable.name === name)?.value;
const projected = cluster.spec.projectedVolumeTemplate.sources[0].secret;
const volume = statefulSet.spec.template.spec.volumes.find(({ name }) => name === 'smtp');
const mount = container.volumeMounts.find(({ name }) => name === 'smtp');

same(taken(cluster.spec.env, projected.items), keys, 'the Cluster uses each key');
same([projected.name, volume.secret.secretName], [secret.metadata.name, secret.metadata.name], 'and each file is the Secret\'s');
same(taken(container.env, volume.secret.items), keys, 'the StatefulSet uses each key');
same(value(cluster.spec.env, 'SMTP_PASSWORD_FILE'), `/projected/${projected.items[0].path}`, 'the Cluster\'s password is where its file is');
same(value(container.env, 'SMTP_PASSWORD_FILE'), `${mount.mountPath}/${volume.secret.items[0].path}`, 'so is the StatefulSet\'s');
same(sorted([...cluster.spec.env, ...container.env].map(({ name }) => name)).filter(name => name.startsWith('SMTP_') && !read('src/settings.c').includes(`"${name}"`)
	&& !read('src/settings_password.c').includes(`"${name}"`)), [], 'the library reads each of these variables');

const mounts = container.volumeMounts.map(({ name }) => name);
const volumes = [...statefulSet.spec.template.spec.volumes.map(({ name }) => name), ...statefulSet.spec.volumeClaimTemplates.map(({ metadata }) => metadata.name)];
same(sorted(mounts), sorted(volumes), 'each volume is mounted');
same(statefulSet.spec.selector.matchLabels, statefulSet.spec.template.metadata.labels, 'the StatefulSet selects its pods');
same(objects['Service of examples/kubernetes/statefulset.yaml'].spec.selector, statefulSet.spec.template.metadata.labels, 'so does its Service');
ok(cluster.spec.postgresql.shared_preload_libraries.includes('rhesis_notify') && container.args.includes('shared_preload_libraries=rhesis_notify'), 'both load the library');
same(manifests.filter(file => /ALTER SYSTEM/i.test(read(file).replace(/^\s*#.*$/mg, ''))), [], 'no manifest needs ALTER SYSTEM');

// ---- How the workers reach the database ----

const workerEnv = file => objects[`Deployment of examples/kubernetes/${file}`].spec.template.spec.containers[0].env;
const initdb = cluster.spec.bootstrap.initdb;

// What the operator makes of the Cluster's name: a Secret of the owner, whose URI is of its database.
same(workerEnv('worker.yaml').find(({ name }) => name === 'DATABASE_URL').valueFrom.secretKeyRef,
	{ name: `${cluster.metadata.name}-app`, key: 'uri' }, 'the workers take the URI from the Cluster\'s Secret');

const url = new URL(value(workerEnv('worker-statefulset.yaml'), 'DATABASE_URL'));
const role = objects['ConfigMap of examples/kubernetes/statefulset.yaml'].data['rhesis_notify.sql'].match(/CREATE ROLE (\w+) LOGIN/)[1];
const password = env => env.find(({ name }) => name === 'APP_PASSWORD');
const order = workerEnv('worker-statefulset.yaml').map(({ name }) => name);

same([url.hostname, url.username, url.pathname],
	[objects['Service of examples/kubernetes/statefulset.yaml'].metadata.name, role, `/${value(container.env, 'POSTGRES_DB')}`],
	'the workers connect to the StatefulSet\'s Service, as its role, to its database');
same(url.password, '$(APP_PASSWORD)', 'with the password');
same(password(workerEnv('worker-statefulset.yaml')), password(container.env), 'which is that of its Secret');
ok(order.indexOf('APP_PASSWORD') < order.indexOf('DATABASE_URL'), 'and is there before it is used');

const page = read('doc/kubernetes.md');
same([`\`${cluster.metadata.name}-app\``, `\`${cluster.metadata.name}-rw\``, `\`${initdb.owner}\``, value(workerEnv('worker-statefulset.yaml'), 'DATABASE_URL')]
	.filter(name => !page.includes(name)), [], 'the page names what they connect with');

// ---- Workflows ----

const makefile = read('Makefile');
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

const matrix = parse(read('.github/workflows/test.yml')).jobs.test.strategy.matrix.postgresql;
same(matrix, [15, 16, 17, 18], 'every supported PostgreSQL is tested');

const deploy = parse(read('.github/workflows/deploy.yml')).jobs.deploy.steps;
const creation = deploy.find(step => step.run?.includes('create secret'));
const literals = [...creation.run.matchAll(/--from-literal=(\w+)="\$(\w+)"/g)];
same(creation.run.match(/create secret generic (\S+)/)[1], secret.metadata.name, 'the workflow creates the Secret that the manifests use');
same(sorted(literals.map(([, key]) => key)), keys, 'with its keys');
same(literals.filter(([, key, variable]) => key !== variable), [], 'each from the variable of its name');
same(Object.entries(creation.env).filter(([name, from]) => from !== `\${{ secrets.${name} }}`), [], 'each variable from the repository\'s secret of its name');

console.log(`1..${tests}`);
process.exitCode = failed > 0 ? 1 : 0;

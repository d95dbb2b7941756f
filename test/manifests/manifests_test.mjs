#!/usr/bin/env node
/*
 * The manifests of examples/kubernetes must be valid for Kubernetes and CloudNativePG, and must
 * agree with each other. TAP.
 *
 * kubernetes-models validates the kinds of Kubernetes. It is made from the definitions of the
 * Kubernetes API. The operator's own definition in cloudnative-pg/ validates the Cluster. A field
 * that is in no definition is an error, as in kubectl.
 */
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import Ajv from 'ajv';
import { parse } from 'yaml';
import { done, documentsOf, manifests, objects, ok, read, same, sorted, top } from './common.mjs';

const require = createRequire(import.meta.url);

// ---- Kubernetes ----

// Returns a copy of the value that records which fields are read.
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

// Returns the paths of unread fields. If nothing in a value was read, only the path of the whole
// value is returned.
function unread(value, seen, path = '') {
	if (value === null || typeof value !== 'object' || seen.fields.size === 0)
		return [];
	return Object.keys(value).flatMap(key =>
		seen.fields.has(key) ? unread(value[key], seen.fields.get(key), `${path}/${key}`) : [`${path}/${key}`]);
}

// Returns the problems of a value, found by its model.
function problemsBy(Model, value) {
	const seen = { fields: new Map() };

	try {
		Model.prototype.validate.call(watched(value, seen));
	} catch (error) {
		return [error.message];
	}
	return unread(value, seen).map(path => `${path} is unknown`);
}

// Returns the problems of an object of Kubernetes.
function problemsOf(object) {
	const Model = require(`kubernetes-models/${object.apiVersion}`)[object.kind];

	return Model ? problemsBy(Model, object) : [`there is no ${object.kind} in ${object.apiVersion}`];
}

for (const file of manifests)
	same(documentsOf(file).flatMap(document => [...document.errors, ...document.warnings].map(String)), [], `${file} is YAML`);

const ownKinds = Object.entries(objects).filter(([, object]) => !object.apiVersion.includes('cnpg.io'));
for (const [name, object] of ownKinds)
	same(problemsOf(object), [], `${name} is valid`);

// The validation must find errors: a wrong type, a missing field, a wrong word, a field in the
// wrong place.
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

// Kubernetes silently drops a field that a schema does not name. Here it is an error.
function strict(schema) {
	if (schema === null || typeof schema !== 'object')
		return schema;
	if (Array.isArray(schema))
		return schema.map(strict);
	const copy = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, strict(value)]));
	if (copy.type === 'object' && copy.additionalProperties === undefined && !copy['x-kubernetes-preserve-unknown-fields'])
		copy.additionalProperties = false;
	return copy;
}

const definition = strict(JSON.parse(read('test/manifests/cloudnative-pg/cluster.json')));
const { ObjectMeta } = require('@kubernetes-models/apimachinery/apis/meta/v1/ObjectMeta');
// The definition only says that metadata is an object.
definition.properties.metadata = { type: 'object' };
const matches = new Ajv({ strict: false, allErrors: true, validateFormats: false }).compile(definition);

// Returns the problems of a Cluster by the operator's definition.
function problemsOfCluster(object) {
	const problems = matches(object) ? [] : matches.errors.map(error => `${error.instancePath} ${error.message}`);
	return problems.concat(problemsBy(ObjectMeta, object.metadata).map(problem => `/metadata${problem}`));
}

same(problemsOfCluster(cluster), [], 'the Cluster is what CloudNativePG defines');
const changedCluster = change => {
	const copy = structuredClone(cluster);
	change(copy.spec, copy);
	return problemsOfCluster(copy).length;
};
ok(changedCluster(spec => { spec.instances = '3'; }) > 0, 'a wrong type is found in it');
ok(changedCluster((spec, whole) => { delete whole.spec; }) > 0, 'a missing field is found');
ok(changedCluster(spec => { spec.imagename = 'x:17'; }) > 0, 'an unknown field is found');
ok(changedCluster(spec => { spec.env.find(variable => variable.valueFrom).valueFrom.secretKeyRef.kee = 'c'; }) > 0, 'deep inside too');
ok(changedCluster(spec => { spec.projectedVolumeTemplate.sources[0].secret.items[0].key = 587; }) > 0, 'and a wrong type there');
ok(changedCluster((spec, whole) => { whole.metadata.label = {}; }) > 0, 'and what metadata do not have');

// The Cluster of doc/image-volume.md: its YAML laid over the manifest. A list replaces a list.
const volumePage = read('doc/image-volume.md');
const laidOver = (base, change) => change === null || typeof change !== 'object' || Array.isArray(change) ? change
	: { ...base, ...Object.fromEntries(Object.entries(change).map(([key, value]) => [key, laidOver(base?.[key] ?? {}, value)])) };
const mounting = laidOver(cluster, parse(volumePage.match(/^```yaml\n(.*?)^```$/ms)[1]));
const [extension] = mounting.spec.postgresql.extensions;

same(problemsOfCluster(mounting), [], 'the Cluster with an image volume is what CloudNativePG defines');
same(mounting.spec.env, cluster.spec.env, 'it has the rest of the manifest');
ok(changedCluster(spec => { spec.postgresql.extensions = [{ ...extension, images: {} }]; }) > 0, 'an unknown field of an extension is found');
same([extension.name, ...mounting.spec.postgresql.shared_preload_libraries], ['rhesis_notify', 'rhesis_notify'], 'it mounts the extension and loads the library');
ok(volumePage.includes(`-t ${extension.image.reference} .`), 'the page builds the image that it mounts');
ok(volumePage.includes(`'$system:/extensions/${extension.name}/share'`) && volumePage.includes(`'$libdir:/extensions/${extension.name}/lib'`), 'and names the directories that it is mounted at');

// The operator's webhook checks these, too.
ok(/^[a-z]([-a-z0-9]*[a-z0-9])?$/.test(cluster.metadata.name) && cluster.metadata.name.length <= 50, 'the Cluster can be called so');
ok(/:[1-9][0-9]+([._-][A-Za-z0-9._-]+)?$/.test(cluster.spec.imageName), 'the image\'s tag tells the version');
ok(cluster.spec.bootstrap.initdb.database && cluster.spec.bootstrap.initdb.owner, 'the database has an owner');

// ---- References between the manifests ----

const secret = objects['Secret of examples/kubernetes/secret.yaml'];
const keys = ['FRONTEND_URL', 'SMTP_HOST', 'SMTP_PASSWORD', 'SMTP_PORT', 'SMTP_USER'];
const container = statefulSet.spec.template.spec.containers[0];

same(secret.metadata.name, 'rhesis-worker-secrets', 'the Secret has the name that Rhesis gives it');
same(sorted(Object.keys(secret.stringData)), keys, 'and its keys');

// Returns the keys that a manifest uses from the Secret, as variables and as files.
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
const sources = execFileSync(join(top, 'test/list-sources'), ['c'], { encoding: 'utf8' }).trim().split('\n').map(read).join('');
same(sorted([...cluster.spec.env, ...container.env].map(({ name }) => name)).filter(name => name.startsWith('SMTP_') && !sources.includes(`"${name}"`)), [], 'the library reads each of these variables');

const mounts = container.volumeMounts.map(({ name }) => name);
const volumes = [...statefulSet.spec.template.spec.volumes.map(({ name }) => name), ...statefulSet.spec.volumeClaimTemplates.map(({ metadata }) => metadata.name)];
same(sorted(mounts), sorted(volumes), 'each volume is mounted');
same(statefulSet.spec.selector.matchLabels, statefulSet.spec.template.metadata.labels, 'the StatefulSet selects its pods');
same(objects['Service of examples/kubernetes/statefulset.yaml'].spec.selector, statefulSet.spec.template.metadata.labels, 'so does its Service');
ok(cluster.spec.postgresql.shared_preload_libraries.includes('rhesis_notify') && container.args.includes('shared_preload_libraries=rhesis_notify'), 'both load the library');
same(manifests.filter(file => /ALTER SYSTEM/i.test(read(file).replace(/^\s*#.*$/mg, ''))), [], 'no manifest needs ALTER SYSTEM');

// ---- The connection of the workers to the database ----

const workerEnv = file => objects[`Deployment of examples/kubernetes/${file}`].spec.template.spec.containers[0].env;
const initdb = cluster.spec.bootstrap.initdb;

// The operator makes a Secret for the owner, named after the Cluster. Its URI names the database.
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
const placeholders = sorted(manifests.flatMap(file => read(file).match(/[\w@.-]*example\.com/g) ?? []));
same(placeholders.filter(name => !page.includes(`\`${name}`) && !page.includes(`//${name}`)), [], 'and each placeholder');

done();

#!/usr/bin/env node
/*
 * Takes the schema of a Cluster from a release of CloudNativePG:
 *
 *   take.mjs VERSION <config/crd/bases/postgresql.cnpg.io_clusters.yaml >cluster.json
 *
 * It leaves out the descriptions, which are most of the file, and `status`, which the operator
 * writes. Each field of the spec is on its own line, so that the differences between releases are
 * readable.
 */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

const [version] = process.argv.slice(2);
const definition = parse(readFileSync(0, 'utf8'), { maxAliasCount: -1 });
const schema = definition.spec.versions.find(({ name }) => name === 'v1').schema.openAPIV3Schema;

// Inside `properties`, "description" is the name of a field.
function bare(value, isMap = false) {
	if (value === null || typeof value !== 'object')
		return value;
	if (Array.isArray(value))
		return value.map(item => bare(item));
	return Object.fromEntries(Object.entries(value).filter(([key]) => isMap || key !== 'description')
		.map(([key, child]) => [key, bare(child, key === 'properties' && !isMap)]));
}

const lines = (object, each) => `{\n${Object.entries(object).map(([key, value]) => `${JSON.stringify(key)}: ${each(key, value)}`).join(',\n')}\n}`;
const { properties: { status, ...properties }, ...rest } = bare(schema);

console.log(lines({
	$comment: `The Cluster of CloudNativePG ${version} (https://github.com/cloudnative-pg/cloudnative-pg), from config/crd/bases/postgresql.cnpg.io_clusters.yaml`
		+ ' without descriptions and status, by take.mjs. Copyright contributors to CloudNativePG, Apache License 2.0: see LICENSE.',
	...rest, properties
}, (key, value) => key !== 'properties' ? JSON.stringify(value) : lines(value, (name, field) => name !== 'spec' ? JSON.stringify(field)
	: lines(field, (part, of) => part !== 'properties' ? JSON.stringify(of) : lines(of, (_, leaf) => JSON.stringify(leaf))))));

#!/usr/bin/env node
/*
 * Tests the kubectl commands of doc/kubernetes.md, doc/first-mail.md, the comments in the manifests
 * and the workflow. TAP.
 *
 * It makes the Secrets without a cluster; they must have the keys that the manifests use. It passes
 * every other command to kubectl. kubectl must understand the command, so that it only fails
 * because there is no cluster. The command must name objects of the manifests.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { done, manifests, objects, ok, read, same, sorted, top } from './common.mjs';

const scratch = mkdtempSync(join(tmpdir(), 'kubectl-'));
const nowhere = { clusters: [{ name: 'none', cluster: { server: 'http://127.0.0.1:1' } }], contexts: [{ name: 'none', context: { cluster: 'none' } }] };
writeFileSync(join(scratch, 'config'), JSON.stringify({ apiVersion: 'v1', kind: 'Config', ...nowhere, 'current-context': 'none' }));

function shell(script, { env = {}, input = '' } = {}) {
	return spawnSync('sh', ['-euc', script], { cwd: scratch, input, encoding: 'utf8', timeout: 60000,
		env: { PATH: process.env.PATH, HOME: scratch, KUBECONFIG: join(scratch, 'config'), ...env } });
}

// ---- The commands ----

const joined = text => text.replace(/\\\n\s*/g, ' ');
const page = joined(read('doc/kubernetes.md'));
const blocks = [...page.matchAll(/^```sh\n(.*?)^```$/gms)].flatMap(([, block]) => block.trim().split('\n')).filter(line => !line.startsWith('docker '));
const inline = [...(page + read('doc/first-mail.md')).replace(/^```.*?^```$/gms, '').matchAll(/`(kubectl [^`]* [^`]*)`/g)].map(([, command]) => command);
const deploy = parse(read('.github/workflows/deploy.yml')).jobs.deploy.steps.filter(step => step.run?.includes('kubectl'));
const isCreation = command => /^kubectl create secret /.test(command);

// ---- Secrets ----

const password = 'a secret';
const made = {};

// Returns the Secret that a command makes, with its values as text.
function secretOf(command, env) {
	const { stdout, stderr } = shell(command, { env });
	const secret = (() => { try { return parse(stdout); } catch { return null; } })();

	ok(secret?.kind === 'Secret', `a Secret is made by ${command.slice(0, 60)} ...`, stderr);
	return [secret?.metadata?.name, Object.fromEntries(Object.entries(secret?.data ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]))];
}

// Runs the lines of the page in order, as a person does, and types the password where a line reads
// one.
for (const line of blocks) {
	if (isCreation(line)) {
		const [name, values] = secretOf(`${line} --dry-run=client -o yaml`);
		made[name] = values;
	} else if (!line.startsWith('kubectl ')) {
		const { status, stderr } = shell(line, { input: `${password}\n` });
		ok(status === 0, `the shell does ${line}`, stderr);
	}
}

// The keys that all manifests use: { Secret: [key] }.
const taken = {};
(function collect(value) {
	if (value === null || typeof value !== 'object')
		return;
	const note = (secret, keys) => { taken[secret] = sorted([...(taken[secret] ?? []), ...keys]); };
	if (value.secretKeyRef)
		note(value.secretKeyRef.name, [value.secretKeyRef.key]);
	if (value.secret?.items)
		note(value.secret.secretName ?? value.secret.name, value.secret.items.map(({ key }) => key));
	Object.values(value).forEach(collect);
})(objects);

const cluster = objects['Cluster of examples/kubernetes/cloudnativepg.yaml'];
const statefulSet = objects['StatefulSet of examples/kubernetes/statefulset.yaml'];
const secret = objects['Secret of examples/kubernetes/secret.yaml'];
const byName = object => Object.entries(object).sort(([one], [other]) => one < other ? -1 : 1);
// The operator makes the Secret of the role.
const ours = byName(taken).filter(([name]) => name !== `${cluster.metadata.name}-app`);

same(byName(made).map(([name, values]) => [name, sorted(Object.keys(values))]), ours, 'the page makes each Secret that the manifests take something of, with those keys');
same(byName(made[secret.metadata.name] ?? {}), byName({ ...secret.stringData, SMTP_PASSWORD: password }), 'that of the mail server is the manifest\'s, with the password as it was typed');
ok(!existsSync(join(scratch, 'smtp_password')), 'whose file is gone');
same(Object.values(made['rhesis-db'] ?? {}).filter(value => !/^[0-9a-f]{32}$/.test(value)), [], 'the passwords of roles can stand in a URI');

const creation = deploy.find(step => step.run.includes('create secret'));
const values = Object.fromEntries(Object.keys(creation.env).map(name => [name, `the repository's ${name}`]));
const [name, fromRepository] = secretOf(joined(creation.run).replace(/\| kubectl apply -f -\s*$/, ''), values);
same([name, byName(fromRepository)], [secret.metadata.name, byName(values)], 'the workflow makes that Secret, each key from the variable of its name');
same(sorted(Object.keys(fromRepository)), sorted(Object.keys(secret.stringData)), 'with the manifest\'s keys');
same(Object.entries(creation.env).filter(([variable, from]) => from !== `\${{ secrets.${variable} }}`), [], 'and each variable from the repository\'s secret of its name');
same(manifests.flatMap(file => [...read(file).matchAll(/kubectl create secret generic (\S+)((?: --from-literal=\S+)+)/g)])
	.filter(([, of, literals]) => [...literals.matchAll(/=(\w+)=/g)].some(([, key]) => !taken[of]?.includes(key))).map(([command]) => command), [], 'so do the heads of the manifests');

// ---- All other commands ----

const initdb = cluster.spec.bootstrap.initdb;
const environment = statefulSet.spec.template.spec.containers[0].env;
const database = environment.find(({ name }) => name === 'POSTGRES_DB').value;
const kinds = { 'clusters.postgresql.cnpg.io': cluster.metadata.name, statefulset: statefulSet.metadata.name };
// The operator gives its container this name. A StatefulSet's pod has one container.
const known = [
	new RegExp(`^exec (-it )?${cluster.metadata.name}-1 -c postgres -- psql -d ${initdb.database}( |$)`),
	new RegExp(`^exec (-it )?${statefulSet.metadata.name}-0 -- psql -U postgres -d ${database}( |$)`),
	...Object.entries(kinds).flatMap(([kind, name]) => [
		new RegExp(`^(annotate --overwrite|get|rollout status|rollout restart) ${kind} ${name}( |$)`),
		new RegExp(`^wait .* ${kind}/${name} `)]),
	new RegExp(`^cnpg restart ${cluster.metadata.name}$`),
	{ test: words => existsSync(join(top, words.match(/^apply -f (\S+)$/)?.[1] ?? 'nowhere')) }];

const commands = [...blocks, ...inline, ...deploy.flatMap(step => joined(step.run).split('\n'))]
	.filter(command => command.startsWith('kubectl ') && !/create secret/.test(command));

// Returns null if kubectl understands the command and then misses the cluster, else its message.
// kubectl cannot know commands of plugins.
function objection(command) {
	const { status, stderr } = shell(command.replace('-f examples/', `-f ${top}/examples/`));

	return status !== 0 && /refused/.test(stderr) ? null : stderr || 'it has done something';
}

ok(commands.length > 10, 'there are such commands');
for (const command of sorted(commands)) {
	const words = command.replace(/^kubectl /, '');

	ok(known.some(pattern => pattern.test(words)), `it names what is there: ${command}`);
	if (!words.startsWith('cnpg '))
		same(objection(command), null, 'and kubectl understands it');
}
ok(objection('kubectl exec rhesis-db-0 --container-name x -- true') !== null, 'what kubectl does not understand is found');

rmSync(scratch, { recursive: true });
done();

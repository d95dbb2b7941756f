// node produce.js PEER CONFIG: adds tasks for a peer. CONFIG has their number and, for single
// tasks, the interval in milliseconds. For each single task it prints a line: its key, and the time
// when its commit was acknowledged, in nanoseconds of the monotonic clock.

import { setTimeout as sleep } from 'node:timers/promises';
import { jobFor } from './mailer.js';

const config = JSON.parse(process.argv[3]);
const { producer } = await import(`./${process.argv[2]}.js`);
const CHUNK = 1000;

async function backlog(queue) {
	for (let i = 0; i < config.count; i += CHUNK)
		await queue.many(Array.from({ length: Math.min(CHUNK, config.count - i) }, (_, k) => jobFor(`user${1 + k}`)));
}

async function single(queue) {
	const lines = [];
	const start = performance.now();

	for (let i = 1; i <= config.count; i++) {
		const key = `${config.prefix}${1 + (i - 1) % 1000}`; // the users there are
		await queue.one(jobFor(key));
		lines.push(`${key} ${process.hrtime.bigint()}`);
		const wait = start + i * config.interval - performance.now();
		if (wait > 0)
			await sleep(wait);
	}
	console.log(lines.join('\n'));
}

const queue = await producer(config);
await (config.interval ? single : backlog)(queue);
await queue.end();
process.exit(0);

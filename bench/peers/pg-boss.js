// pg-boss with four workers, each of which fetches 50 jobs at a time. NOTIFY wakes them, and there
// is no pause while batches are full.

import { PgBoss } from 'pg-boss';

async function open(config) {
	const boss = new PgBoss({ connectionString: config.database, max: 20, useListenNotify: true });
	boss.on('error', error => console.error(error));
	await boss.start();
	await boss.createQueue('mail', { notify: true });
	return boss;
}

export async function work(config, sendMail) {
	const boss = await open(config);
	await boss.work('mail', { batchSize: 50, localConcurrency: 4, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 },
		jobs => Promise.all(jobs.map(job => sendMail(job.data))).then(() => {}));
}

export async function producer(config) {
	const boss = await open(config);
	return {
		one: job => boss.send('mail', job),
		many: jobs => boss.insert('mail', jobs.map(data => ({ data }))),
		end: () => boss.stop({ graceful: false }),
	};
}

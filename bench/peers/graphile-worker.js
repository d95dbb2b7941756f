// graphile-worker with 32 parallel jobs, a local queue of 500 jobs, completion in batches, and
// prepared statements.

import { Logger, makeWorkerUtils, run } from 'graphile-worker';

// Its own logger would write a line for each finished job.

const quiet = new Logger(() => (level, message) => level === 'error' && console.error(message));

export async function work(config, sendMail) {
	await run({
		taskList: { mail: async job => { await sendMail(job); } },
		noHandleSignals: true,
		preset: {
			worker: {
				connectionString: config.database, maxPoolSize: 20, concurrentJobs: 32, preparedStatements: true,
				localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0, logger: quiet,
			},
		},
	});
}

export async function producer(config) {
	const utils = await makeWorkerUtils({ connectionString: config.database, logger: quiet });
	await utils.migrate();
	return {
		one: job => utils.addJob('mail', job),
		many: jobs => utils.addJobs(jobs.map(payload => ({ identifier: 'mail', payload }))),
		end: () => utils.release(),
	};
}

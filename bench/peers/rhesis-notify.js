// Adds tasks for the extension, with the same driver and the same method of measuring as for the
// peers.

import pg from 'pg';

const COLUMNS = 'task_id, task_name, status, user_id, organization_id, template, started_at, completed_at, result';
const INSERT = `INSERT INTO rhesis_notify.task_notifications (${COLUMNS})
	VALUES ($1, 'generate_test_set', 'success', bench.user_id($2), bench.organization_id(), 'task_completion',
		pg_catalog.now() - interval '165 s', pg_catalog.now(), $3)`;

export async function producer(config) {
	const client = new pg.Client({ connectionString: config.database });
	await client.connect();
	return {
		one: job => client.query({
			name: 'insert', text: INSERT,
			values: [job.task_id, job.recipient_email.split('@')[0],
				{ test_run_id: job.test_run_id, test_set_name: job.test_set_name, num_tests_generated: job.num_tests_generated }],
		}),
		end: () => client.end(),
	};
}

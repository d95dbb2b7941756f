// nodemailer alone: no database, no queue; it always has more mails to send than connections.

import { jobFor } from './mailer.js';

export async function work(config, sendMail) {
	let left = config.count;
	const lane = async () => {
		while (left-- > 0)
			await sendMail(jobFor(`user${1 + left % 1000}`));
	};
	// Begins only when the benchmark says so, as all others do.
	process.stdin.once('data', () => {
		for (let i = 0; i < 2 * config.connections; i++)
			lane();
	});
}

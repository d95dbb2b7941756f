// nodemailer alone: no database, no queue; it always has more mails to send than connections.

import { createMailer, jobFor } from './mailer.js';

// The compiler is warm after 320 mails, over connections of their own: those that are measured begin as ours do.
async function warmUp(config) {
	const sendMail = createMailer({ ...config, connections: 16 });
	await Promise.all(Array.from({ length: 320 }, (_, i) => sendMail(jobFor(`user${1 + i}`))));
	sendMail.close();
}

export async function work(config, sendMail) {
	let left = config.count;
	const lane = async () => {
		while (left-- > 0)
			await sendMail(jobFor(`user${1 + left % 1000}`));
	};
	await warmUp(config);
	// Begins only when the benchmark says so, as all others do.
	process.stdin.once('data', () => {
		for (let i = 0; i < 2 * config.connections; i++)
			lane();
	});
}

// nodemailer alone, without database and queue. It always has more mails to send than connections.

import { createMailer, jobFor } from './mailer.js';

// After 320 mails the compiler is warm. These mails use their own connections, so the measured
// mails start with new connections, as ours do.
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
	// As all peers do, it starts only when the benchmark tells it to.
	process.stdin.once('data', () => {
		for (let i = 0; i < 2 * config.connections; i++)
			lane();
	});
}

// What the JavaScript peers share: the mail, rendered by compiled Handlebars templates, and
// nodemailer's pool.
//
// A job contains the address and all variables, so a peer looks nothing up.

import { readFileSync } from 'node:fs';
import Handlebars from 'handlebars';
import nodemailer from 'nodemailer';

// Returns the job of one mail. It contains the same values that the extension's worker gets from a
// row, a user and an organization.
export function jobFor(key) {
	const id = `${key}-${process.pid}-${process.hrtime.bigint()}`;
	return {
		recipient_email: `${key}@bench.example`, recipient_name: 'Ada Müller', organization_name: 'Customer & Söhne GmbH',
		task_id: id, task_name: 'Generate Test Set', status: 'success', status_title: 'Success', status_upper: 'SUCCESS',
		is_success: true, is_failed: false, execution_time: '2m 45s', completed_at: '2026-01-15 14:30:25 UTC',
		frontend_url: 'https://app.rhesis.example', result_url: `https://app.rhesis.example/test-runs/${id}`,
		from_name: 'Rhesis AI', test_run_id: id, test_set_name: 'Insurance chatbot', num_tests_generated: 250,
	};
}

// Returns a function that sends the mail of a job. It resolves when the server has accepted the
// mail. Its close() closes the connections.
export function createMailer({ port, connections, ca, user, password, templates }) {
	const compile = suffix => Handlebars.compile(readFileSync(`${templates}/${suffix}`, 'utf8'), { noEscape: suffix !== 'html' });
	const [subject, html, text] = ['subject', 'html', 'txt'].map(compile);
	const transport = nodemailer.createTransport({
		pool: true, maxConnections: connections, maxMessages: Infinity,
		host: '127.0.0.1', port, secure: false, ignoreTLS: !ca, requireTLS: Boolean(ca),
		...(ca && { tls: { ca: readFileSync(ca), servername: 'localhost' }, auth: { user, pass: password } }),
	});

	const sendMail = job => transport.sendMail({
		from: 'Rhesis AI <noreply@bench.example>', to: `${job.recipient_name} <${job.recipient_email}>`,
		subject: subject(job), html: html(job), text: text(job),
	});
	sendMail.close = () => transport.close();
	return sendMail;
}

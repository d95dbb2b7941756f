-- What became of each notification. The view has more columns, times among them.
SELECT id, task, pg_catalog.regexp_replace(recipient, '^(user .{8}).+', '\1...') AS recipient, state, attempts AS tries,
	pg_catalog.concat_ws(': ', reason, smtp_reply) AS "reason, server's reply"
FROM rhesis_notify.delivery_status
ORDER BY id;

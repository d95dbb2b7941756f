-- The result of each notification: the mail's subject (without a mail, the task), its recipient,
-- its state, the attempts, the milliseconds from the task's INSERT to the final state, and the mail
-- server's reply, or the reason for no mail.
SELECT status.id, COALESCE(mail.subject, status.task), status.recipient, status.state, status.attempts,
	pg_catalog.round(EXTRACT(epoch FROM n.finished_at - n.created_at) * 1000),
	pg_catalog.concat_ws(', then ',
		(SELECT pg_catalog.string_agg(event.reply, ', then ' ORDER BY event.id)
		 FROM rhesis_notify.delivery_events AS event
		 WHERE event.notification_id = status.id AND event.event = 'deferred'),
		status.smtp_reply,
		CASE status.reason
			WHEN 'silent_task' THEN 'silent_task: nobody has opted this task in'
			WHEN 'placeholder_email' THEN 'placeholder_email: the address belongs to no mailbox'
		END)
FROM rhesis_notify.delivery_status AS status
JOIN rhesis_notify.task_notifications AS n USING (id)
CROSS JOIN LATERAL rhesis_notify.preview(status.id) AS mail
ORDER BY status.id;

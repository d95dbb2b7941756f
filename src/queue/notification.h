/*
 * notification.h - a claimed row of rhesis_notify.task_notifications, as the worker's modules pass
 * it on.
 */
#ifndef RHESIS_NOTIFICATION_H
#define RHESIS_NOTIFICATION_H

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

typedef struct Notification
{
	int64 id;
	char *task_id;
	char *task_name;
	bool is_success;
	char *user_id;			/* NULL or empty: none */
	char *organization_id;	/* NULL or empty: none */
	char *template_name;	/* the row's, else the registration's; NULL: the task is not opted in */
	char *subject_template; /* the row's, else the registration's; NULL: the template's own */
	char *display_name;		/* the registration's; NULL: mails show the task's name */
	Jsonb *result; /* NULL: none, or too large. Larger than QUEUE_MAX_RESULT: its small keys */
	char *result_remark; /* what was left out of the result; NULL: nothing */
	char *error_message; /* at most QUEUE_MAX_ERROR_MESSAGE characters; NULL: none */
	bool has_started_at;
	TimestampTz started_at;
	TimestampTz completed_at;
	TimestampTz created_at;
	int attempts;	  /* attempts already made that count */
	char *message_id; /* an earlier attempt's; NULL: none is known */
} Notification;

#endif

/*
 * notification.h - a claimed row of rhesis_notify.task_notifications, as the worker's rooms pass it on.
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
	char *user_id;			/* NULL: none */
	char *organization_id;	/* NULL: none */
	char *template_name;	/* the row's, else the registration's; NULL: not opted in */
	char *subject_template; /* the row's, else the registration's; NULL: the template's own */
	char *display_name;		/* the registered one; NULL: the task's name is shown */
	Jsonb *result; /* NULL: none; of one that is larger than QUEUE_MAX_RESULT, its small keys */
	char *result_remark; /* what was left out of the result; NULL: nothing was */
	char *error_message; /* NULL: none; at most QUEUE_MAX_ERROR_MESSAGE characters */
	bool has_started_at;
	TimestampTz started_at;
	TimestampTz completed_at;
	TimestampTz created_at;
	int attempts;	  /* SMTP attempts already made */
	char *message_id; /* of an earlier attempt; NULL: none is known */
} Notification;

#endif

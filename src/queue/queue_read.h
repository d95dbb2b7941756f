/*
 * queue_read.h - reads rows of the queue as notifications, and has the list of their columns.
 */
#ifndef RHESIS_QUEUE_READ_H
#define RHESIS_QUEUE_READ_H

#include "queue/queue_internal.h"

/*
 * Joins the registration of a task: that of its full name as full_name, or else that of the part
 * after the last dot as last_part.
 */
#define REGISTERED_AS(name, last_part_of_name)                                              \
	" LEFT JOIN task_type AS full_name ON full_name.task_name OPERATOR(pg_catalog.=) " name \
	" LEFT JOIN task_type AS last_part ON full_name.task_name IS NULL AND"                  \
	"  last_part.task_name OPERATOR(pg_catalog.=) " last_part_of_name

/* In the order of NotificationColumn. "n" is the row, "d" has its registration. */
#define COLUMNS_BEFORE                                                          \
	" n.id, n.task_id, n.task_name, n.status OPERATOR(pg_catalog.=) 'success'," \
	" n.user_id, n.organization_id,"

#define COLUMNS_AFTER                                            \
	", d.display_name, n.result, n.error_message, n.started_at," \
	" COALESCE(n.completed_at, n.created_at), n.created_at, n.attempts, n.message_id, n.next_attempt_at"

typedef enum NotificationColumn
{
	COLUMN_ID = 1,
	COLUMN_TASK_ID,
	COLUMN_TASK_NAME,
	COLUMN_IS_SUCCESS,
	COLUMN_USER_ID,
	COLUMN_ORGANIZATION_ID,
	COLUMN_TEMPLATE,
	COLUMN_SUBJECT_TEMPLATE,
	COLUMN_DISPLAY_NAME,
	COLUMN_RESULT,
	COLUMN_ERROR_MESSAGE,
	COLUMN_STARTED_AT,
	COLUMN_COMPLETED_AT,
	COLUMN_CREATED_AT,
	COLUMN_ATTEMPTS,
	COLUMN_MESSAGE_ID,
	COLUMN_NEXT_ATTEMPT_AT,
	COLUMN_IS_CLAIMED, /* this column and the next ones: only in a claim */
	COLUMN_IS_FINISHED,
	COLUMN_HAS_LONG_TEXTS
} NotificationColumn;

/* Returns a column, which must not be null, of a row of the last statement. */
extern Datum QueueColumn(uint64 row, NotificationColumn column);

/* Returns a row of the last statement as a notification, palloc'd in the current context. */
extern Notification *ReadNotification(uint64 row);

#endif

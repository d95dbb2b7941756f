/*
 * preview.h - what the functions that show mails without sending them have in common.
 */
#ifndef RHESIS_PREVIEW_H
#define RHESIS_PREVIEW_H

#include "recipients/recipients.h"

/*
 * Looks up recipients like LookUpRecipients(). If the relations cannot be read, raises an error
 * with the hint of the problem.
 */
extern void LookUpForPreview(Notification *const *notifications, int count, Recipient *recipients);

/*
 * Returns the reason why a claim would settle this notification at once, without a look-up of its
 * user; NULL if there is none.
 */
extern const char *ReasonToSkip(const Notification *notification);

/* Returns a mail's subject in the database's encoding; NULL for NULL. */
extern const char *StorableSubject(const char *subject);

#endif

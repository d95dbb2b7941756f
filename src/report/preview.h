/*
 * preview.h - what the functions that show mails without sending them have in common.
 */
#ifndef RHESIS_PREVIEW_H
#define RHESIS_PREVIEW_H

#include "recipients/recipients.h"

/*
 * Looks recipients up like LookUpRecipients(). If the relations cannot be read, raises that as an
 * error, with its hint.
 */
extern void LookUpForPreview(Notification *const *notifications, int count, Recipient *recipients);

/*
 * Returns the reason why the claim would settle this notification without looking up its user; or
 * NULL.
 */
extern const char *ReasonToSkip(const Notification *notification);

/* Returns a mail's subject in the database's encoding; NULL for NULL. */
extern const char *StorableSubject(const char *subject);

#endif

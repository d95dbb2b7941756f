/*
 * preview.h - what the functions that show mails without sending them share.
 */
#ifndef RHESIS_PREVIEW_H
#define RHESIS_PREVIEW_H

#include "recipients/recipients.h"

/* Look recipients up as LookUpRecipients does; that the relations can't be read is raised, with its hint. */
extern void LookUpForPreview(Notification *const *notifications, int count, Recipient *recipients);

/* The reason for which the claim would settle this notification without a look at its user, or NULL. */
extern const char *ReasonToSkip(const Notification *notification);

/* A mail's subject in the database's encoding. NULL for NULL. */
extern const char *StorableSubject(const char *subject);

#endif

/*
 * delivery.h - turns a claimed notification into a mail, and the server's answer into a record
 *
 * The caller claims, sends and records.
 */
#ifndef RHESIS_DELIVERY_H
#define RHESIS_DELIVERY_H

#include "base/monotonic.h"
#include "policy/disposition.h"
#include "queue/queue.h"
#include "recipients/recipients.h"
#include "smtp/smtp.h"

typedef struct DeliveryBatch DeliveryBatch;

typedef struct Delivery
{
	DeliveryBatch *batch;
	const Notification *notification;
	SmtpMail mail;	  /* its cookie is the delivery */
	bool owes_mail;	  /* else the record says why no mail is sent */
	bool is_probe;	  /* it is sent alone, after a back-off */
	int unsent_place; /* its place in the claim journal, until the SMTP client gets the mail */
	int fresh_tries;  /* times it was sent again over a fresh connection, uncounted */
	const char *remark_event; /* the event to record once the mail is accepted; NULL: none */
	const char *remark;	   /* its text: see RenderedMail.fallback and Notification.result_remark */
	DeliveryRecord record; /* once it is settled */
	bool is_locked;		   /* another session has locked the row: record it later */
	int refusals;		   /* times that a trigger or constraint refused the record */
	bool is_refused;	   /* the last try was refused */
	MonotonicTime record_at; /* when a refused record is tried again */
	struct Delivery *next;	 /* in the list that this delivery is in */
} Delivery;

/* Notifications that were claimed together. The last of them to be closed frees the memory. */
struct DeliveryBatch
{
	MemoryContext context;
	Delivery *deliveries;
	int count;
	int open;	 /* deliveries that are not closed yet */
	Size weight; /* bytes of memory, when last measured */
};

/*
 * When the memory of a batch is larger than this, no further mail is composed for the batch, and
 * the rest of its notifications is returned to the queue.
 */
#define BATCH_MAX_BYTES (12 * 1024 * 1024)

/*
 * Makes a batch of the claimed notifications, which live in context. From now on, context belongs
 * to the batch.
 */
extern DeliveryBatch *MakeBatch(MemoryContext context, const ClaimResult *claim);

/*
 * Looks up the recipients, and renders and composes the mails, in the caller's transaction. Returns
 * false, and fills in *problem, if the application's relations cannot be read; then no delivery is
 * settled. Otherwise returns true: each delivery owes a mail or is settled. *fitting is the number
 * of notifications that were prepared; the others were too large together and are settled as
 * returned to the queue.
 */
extern bool PrepareBatch(DeliveryBatch *batch, int *fitting, RecipientsProblem *problem);

/* Returns the memory of all batches, in bytes, as last measured. */
extern Size DeliveriesWeight(void);

/*
 * Call this when the SMTP client has reported an event for the mail. The policy decides what
 * happens next, and the record is filled in accordingly. If the mail is to be sent again, the
 * record stays as it is. Returns the decision, for the caller to carry out.
 */
extern Disposition SettleDelivery(Delivery *delivery, const ServerCircumstances *server);

/* Settles a delivery as pending, due after delay_ms, as if it had never been claimed. */
extern void ReturnToQueue(Delivery *delivery, int64 delay_ms);

/* Settles a delivery as deferred and due at once. The mail itself is not the reason. */
extern void ReturnDeferred(Delivery *delivery, const char *reason);

/*
 * Settles a delivery whose preparation failed as deferred, or as failed at its last attempt. The
 * message is recorded with an event.
 */
extern void FailPreparation(Delivery *delivery, const char *reason, const char *message);

/* Returns true if the batch of the delivery is so large that it should not be kept for it. */
extern bool IsHeavy(const Delivery *delivery);

/*
 * Closes the delivery, and returns a copy with all that is needed to record it later. The copy is a
 * batch of its own.
 */
extern Delivery *KeepForRecord(Delivery *delivery);

/* Call this when the delivery is recorded. If it is the last one of its batch, frees the batch. */
extern void CloseDelivery(Delivery *delivery);

/* Writes the log line about the delivery. Call this when the record is on disk. */
extern void LogDelivery(const Delivery *delivery);

#endif

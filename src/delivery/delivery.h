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
	SmtpMail mail;			  /* its cookie is the delivery */
	bool owes_mail;			  /* else the record says why no mail is sent */
	bool is_probe;			  /* it is sent alone, after a back-off */
	int unsent_place;		  /* in the claim journal, until the SMTP client gets the mail */
	int fresh_tries;		  /* times it was sent again over a fresh connection, uncounted */
	const char *remark_event; /* the event to record once the mail is accepted; NULL: none */
	const char *remark;	   /* its text: see RenderedMail.fallback and Notification.result_remark */
	DeliveryRecord record; /* once it is settled */
	bool is_locked;		   /* another session has locked the row: record it later */
	int refusals;		   /* times that a trigger or constraint of an app refused the record */
	bool is_refused;	   /* the last try was refused */
	MonotonicTime record_at; /* if refused: when to try again */
	struct Delivery *next;	 /* in the list that it is in */
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

/* Mails are composed up to this size. The rest of the batch is returned to the queue. */
#define BATCH_MAX_BYTES (12 * 1024 * 1024)

/*
 * Makes a batch of the claim. The claim lives in context, which belongs to the batch from now on.
 */
extern DeliveryBatch *MakeBatch(MemoryContext context, const ClaimResult *claim);

/*
 * Looks up the recipients, and renders and composes the mails, in the caller's transaction. Returns
 * false with *problem if the application's relations cannot be read. Then nothing is decided.
 * *fitting is the number of notifications that were prepared; the rest was too large and is
 * returned to the queue.
 */
extern bool PrepareBatch(DeliveryBatch *batch, int *fitting, RecipientsProblem *problem);

/* The memory of all batches, in bytes. */
extern Size DeliveriesWeight(void);

/*
 * Call this when the SMTP client has reported an event for the mail. The policy decides, and the
 * record is filled accordingly. If the mail is to be sent again, the record stays as it is.
 */
extern Disposition SettleDelivery(Delivery *delivery, const ServerCircumstances *server);

/* Settles it as pending, due after delay_ms, as if it had never been claimed. */
extern void ReturnToQueue(Delivery *delivery, int64 delay_ms);

/* Settles it as deferred and due at once, for a reason that is not the mail's own. */
extern void ReturnDeferred(Delivery *delivery, const char *reason);

/* Settles it as deferred, or as failed at its last attempt, because its preparation failed. */
extern void FailPreparation(Delivery *delivery, const char *reason, const char *message);

/* Returns true if the delivery keeps a large batch in memory. */
extern bool IsHeavy(const Delivery *delivery);

/*
 * Returns a copy, in memory of its own, with what is needed to record it later. Closes the
 * delivery.
 */
extern Delivery *KeepForRecord(Delivery *delivery);

/* Call this when the delivery is recorded. The last one of a batch frees the batch. */
extern void CloseDelivery(Delivery *delivery);

/* Writes the log line about the delivery. Call this when the record is on disk. */
extern void LogDelivery(const Delivery *delivery);

#endif

/*
 * delivery.h - one claimed notification on its way: from the claim to a composed mail, and from what the server said to what is
 * recorded.
 *
 * Policy meets data here: recipients, rendering, message and outcome each do their part. It neither claims nor records, and it
 * does not speak SMTP.
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
	bool owes_mail;	  /* else record says why not */
	bool is_probe;	  /* goes first after the server was backed off */
	int unsent_place; /* in the claim journal, until it is handed to SMTP */
	int fresh_tries;  /* times it was sent anew after a stale connection, uncounted */
	const char
		*remark_event;	/* of an event that is recorded when the mail is accepted; NULL: none */
	const char *remark; /* its message: see RenderedMail.fallback and Notification.result_remark */
	DeliveryRecord record; /* what to record once it is settled */
	bool is_locked;		   /* another session has the row locked: it is recorded later */
	int refusals;		   /* times its record was refused, by a trigger or constraint of an app */
	bool is_refused;	   /* the last time */
	MonotonicTime record_at; /* then: when it is tried again */
	struct Delivery *next;	 /* of whoever holds it */
} Delivery;

/* What was claimed together; its memory goes when the last of its deliveries has been recorded. */
struct DeliveryBatch
{
	MemoryContext context;
	Delivery *deliveries;
	int count;
	int open;	 /* not yet recorded */
	Size weight; /* bytes, when it was looked at last */
};

/* How much of a batch is composed: what would be more goes back to the queue. */
#define BATCH_MAX_BYTES (12 * 1024 * 1024)

/* A batch of what was claimed into context, which it takes over. */
extern DeliveryBatch *MakeBatch(MemoryContext context, const ClaimResult *claim);

/*
 * Look recipients up, decide, render, compose, in the transaction that the caller has open. False with *problem when
 * the app's relations can't be read: nothing is decided then. *fitting is the number of mails after which the rest was too large, and
 * goes back to the queue; else that of all.
 */
extern bool PrepareBatch(DeliveryBatch *batch, int *fitting, RecipientsProblem *problem);

/* The memory of all batches, in bytes. */
extern Size DeliveriesWeight(void);

/*
 * After the SMTP client has reported an event for the mail: have the policy decide, and keep what is to be
 * recorded. If the mail is to be sent again, nothing is.
 */
extern Disposition SettleDelivery(Delivery *delivery, const ServerCircumstances *server);

/* Decide that the row goes back, due after delay_ms, as if it had never been claimed. */
extern void GiveBack(Delivery *delivery, int64 delay_ms);

/* The same, visibly deferred for a reason that is not the message's. */
extern void GiveBackDeferred(Delivery *delivery, const char *reason);

/* Decide that this row, alone in its batch, is what made its preparation fail. */
extern void BlameDelivery(Delivery *delivery, const char *reason, const char *message);

/* Is the batch large, which it keeps in memory? */
extern bool IsHeavy(const Delivery *delivery);

/* What is needed to record it later, in memory of its own; the delivery is closed. */
extern Delivery *KeepForRecord(Delivery *delivery);

/* The delivery has been recorded. Frees the batch with its last one. */
extern void CloseDelivery(Delivery *delivery);

/* Log what became of it, in the words of the interface (section 8). For use when the record is on disk. */
extern void LogDelivery(const Delivery *delivery);

#endif

/*
 * delivery.c - turns a claimed notification into a mail, and the server's answer into a record
 */
#include "postgres.h"

#include "delivery/delivery.h"

#include "server/claim_journal.h"

#include "common/pg_prng.h"
#include "delivery/delivery_log.h"
#include "delivery/outgoing.h"
#include "miscadmin.h"
#include "settings/settings.h"
#include "template/rendering.h"
#include "utils/memutils.h"

/*
 * In bytes. A delivery that waits to be recorded is copied out of a larger batch, so that the batch
 * can be freed.
 */
#define HEAVY_BATCH_BYTES (4 * 1024 * 1024)

static Size deliveries_weight = 0;

Size
DeliveriesWeight(void)
{
	return deliveries_weight;
}

/* Measures the memory of the batch again. */
static void
Weigh(DeliveryBatch *batch)
{
	Assert(deliveries_weight >= batch->weight);
	deliveries_weight -= batch->weight;
	batch->weight = MemoryContextMemAllocated(batch->context, true);
	deliveries_weight += batch->weight;
}

DeliveryBatch *
MakeBatch(MemoryContext context, const ClaimResult *claim)
{
	DeliveryBatch *batch = MemoryContextAllocZero(context, sizeof(DeliveryBatch));

	batch->context = context;
	batch->count = batch->open = claim->count;
	batch->deliveries = MemoryContextAllocZero(context, Max(claim->count, 1) * sizeof(Delivery));
	for (int i = 0; i < claim->count; i++)
	{
		Delivery *delivery = &batch->deliveries[i];

		delivery->batch = batch;
		delivery->notification = claim->notifications[i];
		delivery->mail.cookie = delivery;
		delivery->unsent_place = NOT_NOTED;
		delivery->record.id = claim->notifications[i]->id;
	}
	Weigh(batch);
	return batch;
}

static void
Settle(Delivery *delivery, DeliveryState state, const char *reason)
{
	delivery->record.state = state;
	delivery->record.reason = reason;
}

static MailCircumstances
CircumstancesOf(const Delivery *delivery)
{
	MailCircumstances mail = {
		.attempts = delivery->notification->attempts,
		.fresh_tries = delivery->fresh_tries,
		.is_probe = delivery->is_probe,
		.max_attempts = rhesis_max_attempts,
		.retry_delay_ms = rhesis_retry_delay,
		.retry_max_delay_ms = rhesis_retry_max_delay,
		.hold_in_doubt = rhesis_in_doubt == IN_DOUBT_HOLD,
		.jitter = pg_prng_double(&pg_global_prng_state),
	};

	return mail;
}

static void
SettleAs(Delivery *delivery, const Disposition *disposition)
{
	DeliveryRecord *record = &delivery->record;

	Settle(delivery, disposition->state, disposition->reason);
	record->counts_attempt = disposition->counts_attempt;
	record->delay_ms = disposition->delay_ms;
	record->event = disposition->event;
}

/*
 * Settles a delivery for which no mail could be composed. can_pass: a later attempt may succeed.
 * The detail is recorded with an event, and must live as long as the batch.
 */
static void
SettleUnprepared(Delivery *delivery, const char *reason, const char *detail, bool can_pass)
{
	MailCircumstances mail = CircumstancesOf(delivery);
	Disposition disposition = DispositionForFailedPreparation(reason, can_pass, &mail);

	SettleAs(delivery, &disposition);
	delivery->record.event_detail = detail;
}

/*
 * Notes what an operator should know about a mail that is sent nevertheless: another template was
 * used, or the result was cut. This is recorded when the mail is sent.
 */
static void
NoteRemarks(Delivery *delivery, const RenderedMail *rendered)
{
	const char *cut = delivery->notification->result_remark;
	const char *fallback = rendered->fallback;
	const char *remark = fallback ? fallback : cut;

	if (fallback && cut)
		remark = psprintf("%s; %s", fallback, cut);
	if (remark == NULL)
		return;
	delivery->remark_event = fallback ? "template_fallback" : "result_cut";
	delivery->remark = MemoryContextStrdup(delivery->batch->context, remark);
}

/*
 * Renders and composes the mail, or settles the delivery if that fails. The caller resets the
 * current memory context afterwards; what the delivery keeps is copied to the context of the batch.
 */
static void
WriteMail(Delivery *delivery, const Recipient *recipient, const Outgoing *outgoing)
{
	MemoryContext lasting = delivery->batch->context;
	SmtpMail *mail = &delivery->mail;
	RenderedMail rendered = {0};
	const char *problem;

	RenderNotification(delivery->notification, recipient, &rendered);
	NoteRemarks(delivery, &rendered);
	if (rendered.error)
	{
		SettleUnprepared(delivery, "render_error", MemoryContextStrdup(lasting, rendered.error),
						 false);
		return;
	}
	delivery->record.message_id =
		MemoryContextStrdup(lasting, NotificationMessageId(outgoing, delivery->notification));
	delivery->owes_mail =
		ComposeOutgoing(outgoing, delivery->notification->id, delivery->record.message_id,
						recipient, &rendered, mail, &problem);
	if (delivery->owes_mail)
		mail->data =
			memcpy(MemoryContextAlloc(lasting, mail->data_length), mail->data, mail->data_length);
	else
		SettleUnprepared(delivery, "render_error", problem, false);
}

/* Composes the mail for a recipient that was looked up, or settles the delivery without a mail. */
static void
PrepareDelivery(Delivery *delivery, const Recipient *recipient, const Outgoing *outgoing)
{
	if (recipient->error)
	{
		SettleUnprepared(delivery, "recipients_error", recipient->error, true);
		return;
	}
	delivery->record.recipient_email = recipient->email;
	if (recipient->skip_reason)
		Settle(delivery, DELIVERY_SKIPPED, recipient->skip_reason);
	else
		WriteMail(delivery, recipient, outgoing);
}

/*
 * Prepares the deliveries one by one, in the same working memory, until the batch is larger than
 * BATCH_MAX_BYTES. Returns the number of prepared deliveries; the others are settled as returned to
 * the queue.
 */
static int
PrepareDeliveries(DeliveryBatch *batch, const Recipient *recipients)
{
	int fitting;

	MemoryContext working =
		AllocSetContextCreate(batch->context, "rhesis_notify rendering", ALLOCSET_DEFAULT_SIZES);
	Outgoing outgoing;

	ReadOutgoing(&outgoing);
	MemoryContextSwitchTo(working);
	for (fitting = 0; fitting < batch->count; fitting++)
	{
		CHECK_FOR_INTERRUPTS();
		if (fitting > 0 && MemoryContextMemAllocated(batch->context, false) > BATCH_MAX_BYTES)
			break;
		PrepareDelivery(&batch->deliveries[fitting], &recipients[fitting], &outgoing);
		MemoryContextReset(working);
	}
	for (int i = fitting; i < batch->count; i++)
		ReturnToQueue(&batch->deliveries[i], 0);
	MemoryContextSwitchTo(batch->context);
	MemoryContextDelete(working);
	return fitting;
}

bool
PrepareBatch(DeliveryBatch *batch, int *fitting, RecipientsProblem *problem)
{
	MemoryContext caller = MemoryContextSwitchTo(batch->context);
	const Notification **notifications = palloc(Max(batch->count, 1) * sizeof(Notification *));
	Recipient *recipients = palloc0(Max(batch->count, 1) * sizeof(Recipient));
	bool readable;

	for (int i = 0; i < batch->count; i++)
		notifications[i] = batch->deliveries[i].notification;
	readable =
		LookUpRecipients((Notification *const *) notifications, batch->count, recipients, problem);
	*fitting = readable ? PrepareDeliveries(batch, recipients) : batch->count;
	MemoryContextSwitchTo(caller);
	Weigh(batch);
	return readable;
}

/* Returns the event in one line. The text lives as long as the batch. */
static const char *
ReplyText(Delivery *delivery)
{
	MemoryContext caller = MemoryContextSwitchTo(delivery->batch->context);
	const char *text = EventInOneLine(&delivery->mail.event);

	MemoryContextSwitchTo(caller);
	return text;
}

/* Returns the stage in words, for a person who reads delivery_events. */
static const char *
StageInWords(SmtpStage stage)
{
	static const char *const words[] = {
		[SMTP_STAGE_CONNECT] = "while connecting",
		[SMTP_STAGE_GREETING] = "at the greeting",
		[SMTP_STAGE_EHLO] = "at EHLO",
		[SMTP_STAGE_STARTTLS] = "at STARTTLS",
		[SMTP_STAGE_TLS] = "at the TLS handshake",
		[SMTP_STAGE_AUTH] = "at the login",
		[SMTP_STAGE_MAIL] = "at MAIL FROM",
		[SMTP_STAGE_RCPT] = "at RCPT TO",
		[SMTP_STAGE_DATA] = "at DATA",
		[SMTP_STAGE_BODY] = "in the middle of the message",
		[SMTP_STAGE_FINAL_DOT] = "after the end of the message",
	};

	Assert(stage < lengthof(words));
	return words[stage];
}

Disposition
SettleDelivery(Delivery *delivery, const ServerCircumstances *server)
{
	DeliveryRecord *record = &delivery->record;
	const SmtpEvent *event = &delivery->mail.event;
	MailCircumstances mail = CircumstancesOf(delivery);
	Disposition disposition = DispositionForEvent(event, &mail, server);

	if (disposition.resend)
	{
		delivery->fresh_tries += disposition.counts_fresh_try ? 1 : 0;
		return disposition;
	}
	if (disposition.state == DELIVERY_PENDING)
	{
		ReturnToQueue(delivery, disposition.delay_ms);
		return disposition;
	}
	Assert(disposition.state != DELIVERY_SKIPPED);
	SettleAs(delivery, &disposition);
	record->smtp_reply = ReplyText(delivery);
	if (disposition.state == DELIVERY_SENT)
	{
		record->event = delivery->remark_event;
		record->event_detail = delivery->remark;
	}
	else if (disposition.event)
	{
		record->smtp_code = event->kind == SMTP_EVENT_REPLY ? event->code : 0;
		record->enhanced_code =
			event->enhanced ? MemoryContextStrdup(delivery->batch->context, event->enhanced) : NULL;
		record->event_reply = record->smtp_reply;
		record->event_detail = StageInWords(event->stage);
	}
	return disposition;
}

static void
ForgetRecord(Delivery *delivery)
{
	int64 id = delivery->record.id;

	memset(&delivery->record, 0, sizeof(delivery->record));
	delivery->record.id = id;
}

void
ReturnToQueue(Delivery *delivery, int64 delay_ms)
{
	ForgetRecord(delivery);
	Settle(delivery, DELIVERY_PENDING, NULL);
	delivery->record.delay_ms = delay_ms;
}

void
ReturnDeferred(Delivery *delivery, const char *reason)
{
	ForgetRecord(delivery);
	Settle(delivery, DELIVERY_DEFERRED, reason);
}

void
FailPreparation(Delivery *delivery, const char *reason, const char *message)
{
	ForgetRecord(delivery);
	SettleUnprepared(delivery, reason, MemoryContextStrdup(delivery->batch->context, message),
					 true);
}

/* Returns a copy in the context; NULL for NULL. */
static const char *
CopyText(MemoryContext context, const char *text)
{
	return text ? MemoryContextStrdup(context, text) : NULL;
}

static DeliveryRecord
CopyRecord(MemoryContext context, const DeliveryRecord *record)
{
	DeliveryRecord copy = *record;

	copy.reason = CopyText(context, record->reason);
	copy.recipient_email = CopyText(context, record->recipient_email);
	copy.message_id = CopyText(context, record->message_id);
	copy.smtp_reply = CopyText(context, record->smtp_reply);
	copy.event = CopyText(context, record->event);
	copy.enhanced_code = CopyText(context, record->enhanced_code);
	copy.event_reply = CopyText(context, record->event_reply);
	copy.event_detail = CopyText(context, record->event_detail);
	return copy;
}

bool
IsHeavy(const Delivery *delivery)
{
	return delivery->batch->weight > HEAVY_BATCH_BYTES;
}

Delivery *
KeepForRecord(Delivery *delivery)
{
	MemoryContext context =
		AllocSetContextCreate(TopMemoryContext, "rhesis_notify outcome", ALLOCSET_SMALL_SIZES);
	Notification *notification = MemoryContextAllocZero(context, sizeof(Notification));
	Notification *notifications[] = {notification};
	ClaimResult alone = {.notifications = notifications, .count = 1};
	Delivery *kept;

	notification->id = delivery->notification->id;
	notification->task_id = MemoryContextStrdup(context, delivery->notification->task_id);
	kept = MakeBatch(context, &alone)->deliveries;
	kept->record = CopyRecord(context, &delivery->record);
	kept->refusals = delivery->refusals;
	kept->is_refused = delivery->is_refused;
	kept->is_locked = delivery->is_locked;
	kept->record_at = delivery->record_at;
	kept->unsent_place = delivery->unsent_place;
	delivery->unsent_place = NOT_NOTED;
	CloseDelivery(delivery);
	return kept;
}

/*
 * Frees the largest parts of a delivery that is closed: others of its batch may be on the wire for
 * a long time.
 */
static void
ShedWeight(Delivery *delivery)
{
	if (delivery->mail.data != NULL)
		pfree(unconstify(char *, delivery->mail.data));
	if (delivery->notification->result != NULL)
		pfree(delivery->notification->result);
	Weigh(delivery->batch);
}

void
CloseDelivery(Delivery *delivery)
{
	DeliveryBatch *batch = delivery->batch;

	SmtpMailClear(&delivery->mail);
	ForgetUnsent(&delivery->unsent_place);
	Assert(batch->open > 0);
	if (--batch->open > 0)
	{
		if (IsHeavy(delivery))
			ShedWeight(delivery);
		return;
	}
	Assert(deliveries_weight >= batch->weight);
	deliveries_weight -= batch->weight;
	MemoryContextDelete(batch->context);
}

void
LogDelivery(const Delivery *delivery)
{
	const DeliveryRecord *record = &delivery->record;
	const char *address = record->recipient_email ? record->recipient_email : "unknown recipient";
	const char *cause = record->smtp_reply ? record->smtp_reply : record->event_detail;
	char *detail;

	if (record->state == DELIVERY_SENT)
	{
		LogMailSent(address, delivery->notification->task_id);
		return;
	}
	if (record->event == NULL)
		return;
	detail = psprintf("Notification " INT64_FORMAT " is %s (%s).", record->id,
					  DeliveryStateName(record->state), record->reason);
	LogMailFailed(address, cause ? cause : record->reason, detail, NULL);
	pfree(detail);
}

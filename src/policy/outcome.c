/*
 * outcome.c - what a mail server's reply, or its silence, means for a message
 *
 * The rules are in outcome_rules.c. The code here finds the rule that matches.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "policy/outcome.h"
#include "policy/outcome_rules.h"
#include "policy/reply_wording.h"

/* ---------- Matching ---------- */

static bool
RuleMatches(const Rule *rule, const SmtpEvent *event, SmtpEventKind kind)
{
	const char *text = event->text != NULL ? event->text : "";

	if (!(rule->kinds & BIT(kind)) || !(rule->stages & BIT(event->stage)))
		return false;
	if ((rule->conditions & IF_DOT_WRITTEN) && !event->dot_written)
		return false;
	if ((rule->conditions & IF_REUSED) && !event->reused)
		return false;
	if (kind != SMTP_EVENT_REPLY)
		return true;

	if (event->code < rule->code_from || event->code > rule->code_to)
		return false;
	if (rule->enhanced != NULL)
	{
		const char *enhanced = event->enhanced != NULL ? event->enhanced : "";
		size_t length = strlen(rule->enhanced);

		if (strncmp(enhanced, rule->enhanced, length) != 0 ||
			(rule->enhanced[length - 1] != '.' && enhanced[length] != '\0'))
			return false;
	}
	if (rule->wording != NULL && !HasWording(text, rule->wording))
		return false;
	return !(rule->conditions & IF_NAMES_SENDER) || NamesSender(text, event->sender);
}

/* ---------- The outcome ---------- */

/*
 * Returns the event's kind. A reply with a code that the command never gets ("250" to DATA, "354"
 * to the final dot) counts as garbage.
 */
static SmtpEventKind
EffectiveKind(const SmtpEvent *event)
{
	bool refusal = (event->code >= 400 && event->code <= 599);
	bool acceptance =
		(event->stage == SMTP_STAGE_FINAL_DOT && event->code >= 200 && event->code <= 299);

	if (event->kind == SMTP_EVENT_REPLY && !refusal && !acceptance)
		return SMTP_EVENT_GARBAGE;
	return event->kind;
}

/* Returns the first rule that matches. The last rule matches everything. */
static const Rule *
FindRule(const SmtpEvent *event, SmtpEventKind kind)
{
	const Rule *last = &outcome_rules[outcome_rule_count - 1];
	const Rule *rule = outcome_rules;

	while (rule < last && !RuleMatches(rule, event, kind))
		rule++;
	Assert(RuleMatches(rule, event, kind));
	return rule;
}

Outcome
OutcomeForEvent(const SmtpEvent *event)
{
	SmtpEventKind kind = EffectiveKind(event);
	const Rule *rule = FindRule(event, kind);
	Outcome outcome = {rule->scope,			rule->action, rule->reason,
					   rule->delay_seconds, rule->hint,	  rule->is_full};
	bool again = (rule->action == OUTCOME_DEFER || rule->action == OUTCOME_RETURN);

	if (again && kind == SMTP_EVENT_REPLY && event->text != NULL)
	{
		int named = NamedDelaySeconds(event->text);

		if (named > 0)
			outcome.delay_seconds = named;
	}
	return outcome;
}

SmtpRefusal
RefusalForEvent(const SmtpEvent *event)
{
	Outcome outcome = OutcomeForEvent(event);

	if (outcome.action != OUTCOME_RETRY_FRESH)
		return SMTP_REFUSAL_OF_MAIL;
	return outcome.is_full ? SMTP_REFUSAL_CONNECTION_FULL : SMTP_REFUSAL_OF_CONNECTION;
}

const char *
OutcomeScopeName(OutcomeScope scope)
{
	static const char *const names[] = {"message", "address", "connection",
										"account", "quota",	  "server"};

	return names[scope];
}

const char *
OutcomeActionName(OutcomeAction action)
{
	static const char *const names[] = {"sent",	  "defer",		 "fail",
										"return", "retry_fresh", "in_doubt"};

	return names[action];
}

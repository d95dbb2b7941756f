\echo Use "CREATE EXTENSION queue_probe" to load this file. \quit

CREATE TYPE queue_probe.claimed AS
(
	id bigint, task_id text, task_name text, is_success boolean, user_id text, organization_id text, template text,
	subject_template text, display_name text, result jsonb, result_omitted boolean, error_message text, started_at timestamptz,
	completed_at timestamptz, created_at timestamptz, attempts integer
);

CREATE FUNCTION queue_probe.claim(epoch bigint, batch integer, from_start boolean) RETURNS SETOF queue_probe.claimed
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'queue_probe_claim';

-- As claim(), from the first waiting row on. The search for that row starts at its last known
-- position.
CREATE FUNCTION queue_probe.claim_from_first(epoch bigint, batch integer) RETURNS SETOF queue_probe.claimed
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'queue_probe_claim_from_first';

CREATE FUNCTION queue_probe.note_rows_due_since(since timestamptz) RETURNS void
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'queue_probe_note_rows_due_since';

-- Returns the other results of the last claim.
CREATE FUNCTION queue_probe.last_claim(OUT settled integer, OUT is_full boolean)
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'queue_probe_last_claim';

CREATE FUNCTION queue_probe.fetch(id bigint) RETURNS SETOF queue_probe.claimed
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'queue_probe_fetch';

-- Records one outcome for each id, in one batch. Strings are bytes, as they come from a mail
-- server.
CREATE FUNCTION queue_probe.record(epoch bigint, ids bigint[], state text, reason bytea DEFAULT NULL, counts_attempt boolean DEFAULT true,
					   delay_ms bigint DEFAULT 0, recipient_email bytea DEFAULT NULL, message_id bytea DEFAULT NULL,
					   smtp_reply bytea DEFAULT NULL, event bytea DEFAULT NULL, smtp_code integer DEFAULT 0,
					   enhanced_code bytea DEFAULT NULL, event_reply bytea DEFAULT NULL, event_detail bytea DEFAULT NULL)
RETURNS integer
LANGUAGE c AS 'MODULE_PATHNAME', 'queue_probe_record';

-- As record(), but skips rows that other sessions have locked, and returns their ids.
CREATE FUNCTION queue_probe.record_unlocked(epoch bigint, ids bigint[], state text) RETURNS SETOF bigint
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'queue_probe_record_unlocked';

CREATE FUNCTION queue_probe.adopt_orphans(live_epochs bigint[]) RETURNS integer
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'queue_probe_adopt_orphans';

CREATE FUNCTION queue_probe.next_due_time() RETURNS timestamptz
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'queue_probe_next_due_time';

CREATE FUNCTION queue_probe.purge_finished(batch integer) RETURNS integer
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'queue_probe_purge_finished';

CREATE FUNCTION queue_probe.queue_is_paused() RETURNS boolean
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'queue_probe_is_paused';

CREATE FUNCTION queue_probe.next_epoch() RETURNS bigint
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'queue_probe_next_epoch';

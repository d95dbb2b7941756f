
# Retention: if foreign keys or triggers of an application hold rows, this affects only those rows,
# and never the mail.
use strict;
use warnings FATAL => 'all';

use RhesisNotify::Cluster qw($JANE $ACME);
use RhesisNotify::Peer;
use Test::More;
use Time::HiRes qw(time);

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer);
my $old = 0;

# Inserts finished rows that are older than retention. Their task_ids are a word and a number.
# Statements that must happen before the removal run in the same transaction, because the worker
# checks once a minute and could remove the rows first.
sub finished
{
	my ($word, $count, $follows) = @_;
	return qq{BEGIN;
		INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, delivery_status, finished_at)
			SELECT '$word ' || n, 'app.task', 'success', 'sent', now() - interval '40 days' + n * interval '1 second' FROM generate_series(1, $count) AS n;
		$follows;
		COMMIT};
}

# Makes a worker remove rows now. A running worker does this once a minute, and a new worker at
# once.
sub purge_now
{
	my $pid = $node->worker('pid');
	$node->sql("SELECT pg_terminate_backend($pid)");
	$node->wait_for("SELECT count(*) = 1 FROM rhesis_notify.worker_status WHERE pid <> $pid AND state IN ('idle', 'sending')");
	return;
}

sub left
{
	return $node->sql("SELECT coalesce(string_agg(task_id, ', ' ORDER BY id), 'none') FROM rhesis_notify.task_notifications WHERE finished_at < now() - interval '30 days'");
}

# purge(), which an operator calls, removes the same rows. A slow foreign key does not stop it, so
# that case is left out.
sub purges_around
{
	my ($what, $pattern) = @_;
	my ($removed, $warnings) = ('', '');

	return if $what =~ /takes its time/;
	$node->psql('postgres', finished('purged', 7, q{SELECT rhesis_notify.purge('30 days')}), stdout => \$removed, stderr => \$warnings);
	is($removed, 7, "$what: purge() removes what can be removed, and says how many");
	is(left(), 'old 7, old 23', "$what: around what cannot");
	return if $what =~ /suppresses/;
	is(scalar(() = $warnings =~ /WARNING:/g), 1, "$what: with one warning");
	like($warnings, qr/WARNING:  finished notifications cannot be removed: .*\nDETAIL:  Kept: 2; the first is notification \d+\.\nHINT: /, "$what: which counts them");
	like($warnings, $pattern, "$what: and says why");
	return;
}

sub check_retention
{
	my ($what, $make, $unmake, $pattern) = @_;
	my $log_offset = -s $node->logfile;

	$node->sql(finished('old', 40, $make));
	purge_now();
	$node->wait_for("SELECT count(*) = 2 FROM rhesis_notify.task_notifications WHERE finished_at < now() - interval '30 days'");
	is(left(), 'old 7, old 23', "$what: what can be removed is, around what cannot");
	$node->wait_for_state($node->report, 'sent');
	pass("$what: mail goes on");
	$node->wait_for("SELECT NOT ok AND value ~ '^2 finished' FROM rhesis_notify.health() WHERE check_name = 'queue'");
	like($node->sql("SELECT value FROM rhesis_notify.health() WHERE check_name = 'queue'"), $pattern, "$what: health() says why");
	is($node->sql("SELECT string_agg(check_name, ', ') FROM rhesis_notify.health() WHERE NOT ok AND check_name NOT IN ('autovacuum')"), 'queue', "$what: and nothing else is wrong");
	my @warnings = $node->log($log_offset) =~ /^(.*(?:WARNING|ERROR): .*)$/mg;
	is(scalar(@warnings), 1, "$what: one warning") or diag(join "\n", @warnings);
	like($warnings[0], $pattern, "$what: which says why");
	purges_around($what, $pattern);
	$node->sql($unmake);
	purge_now();
	$node->wait_for("SELECT count(*) = 0 FROM rhesis_notify.task_notifications WHERE finished_at < now() - interval '30 days'");
	$node->wait_for("SELECT ok FROM rhesis_notify.health() WHERE check_name = 'queue'");
	pass("$what: when the cause is gone, the rest goes");
	return;
}

my $numbers = q{(task_id IN ('old 7', 'old 23'))};
check_retention('a foreign key',
	qq{CREATE TABLE public.receipt (notification_id bigint REFERENCES rhesis_notify.task_notifications);
		INSERT INTO public.receipt SELECT id FROM rhesis_notify.task_notifications WHERE $numbers},
	'DROP TABLE public.receipt', qr/receipt_notification_id_fkey/);
check_retention('a deferred foreign key',
	qq{CREATE TABLE public.receipt (notification_id bigint REFERENCES rhesis_notify.task_notifications DEFERRABLE INITIALLY DEFERRED);
		INSERT INTO public.receipt SELECT id FROM rhesis_notify.task_notifications WHERE $numbers},
	'DROP TABLE public.receipt', qr/receipt_notification_id_fkey/);
my $trigger = sub {
	my ($action) = @_;
	return qq{CREATE FUNCTION public.app() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
			IF OLD.task_id IN ('old 7', 'old 23') THEN $action END IF; RETURN OLD; END \$\$;
		CREATE TRIGGER app BEFORE DELETE ON rhesis_notify.task_notifications FOR EACH ROW EXECUTE FUNCTION public.app()};
};
my $drop = 'DROP TRIGGER app ON rhesis_notify.task_notifications; DROP FUNCTION public.app()';
check_retention('a trigger that raises', $trigger->(q{RAISE EXCEPTION 'kept for the auditors';}), $drop, qr/kept for the auditors/);
check_retention('a trigger that suppresses', $trigger->('RETURN NULL;'), $drop, qr/suppresses/);
check_retention('a trigger that takes its time', $trigger->('PERFORM pg_sleep(60);'), $drop, qr/takes longer than/);

# ---- A foreign key without an index: many rows refer to one row, and the removal of any row
# searches all of them ----

my $RECEIPTS = 300_000;
my $SLOW = 3000;
my $MAILS = 20;

sub slow_left
{
	return $node->sql(q{SELECT count(*) FROM rhesis_notify.task_notifications WHERE task_id LIKE 'slow%'});
}

$node->sql(finished('slow', $SLOW,
	qq{CREATE TABLE public.receipt (notification_id bigint REFERENCES rhesis_notify.task_notifications ON DELETE SET NULL);
	INSERT INTO public.receipt SELECT (SELECT min(id) FROM rhesis_notify.task_notifications WHERE task_id LIKE 'slow%') FROM generate_series(1, $RECEIPTS)}));
purge_now();

# Mail arrives while the worker removes rows.
my $referred = q{SELECT EXISTS (SELECT FROM rhesis_notify.task_notifications WHERE task_id = 'slow 1')};
$node->wait_for(q{SELECT NOT EXISTS (SELECT FROM rhesis_notify.task_notifications WHERE task_id = 'slow 1') OR EXISTS (SELECT FROM pg_locks WHERE relation = 'public.receipt'::regclass AND mode = 'RowExclusiveLock')});
my $first = $node->report;
$node->wait_for_state($first, 'sent');
note($node->sql($referred) eq 't' ? 'the row that many refer to is there still' : 'the row that many refer to was removed before');
$node->wait_for("SELECT count(*) < $SLOW FROM rhesis_notify.task_notifications WHERE task_id LIKE 'slow%'");

my ($most, $longest) = (0, 0);
foreach (1 .. $MAILS)
{
	my $before = slow_left();
	my $row = $node->wait_for_state($node->report, 'sent');
	my $meanwhile = $before - slow_left();
	my $took = $node->sql("SELECT EXTRACT(epoch FROM finished_at - created_at) FROM rhesis_notify.task_notifications WHERE id = $row->{id}");

	$most = $meanwhile if $meanwhile > $most;
	$longest = $took if $took > $longest;
}
note("the longest time from a task's report to its mail: $longest s; the most rows that were removed meanwhile: $most");
cmp_ok(slow_left(), '>', 0, "$MAILS mails are sent, one after the other, before the rows are gone");
cmp_ok($most, '<', 300, 'no mail waits for a large batch of them');

# While mails arrive all the time, each removal is cut short. Rows are still removed.
my $left = slow_left();
my $reports = 0;
while (slow_left() > $left - 5 && $reports < 20000)
{
	$node->report;
	$reports++;
}
cmp_ok(slow_left(), '<=', $left - 5, "rows leave beside mail that comes all the time ($reports reports)");

$node->stop;
done_testing();

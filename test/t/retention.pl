
# Retention: what foreign keys and triggers of an app do to it concerns the rows that they hold, and never the mail.
use strict;
use warnings FATAL => 'all';

use RhesisNotify::Cluster qw($JANE $ACME);
use RhesisNotify::Peer;
use Test::More;
use Time::HiRes qw(time);

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer);
my $old = 0;

# Finished rows that are older than retention; their task_ids are a word and a number.
sub finish
{
	my ($word, $count) = @_;
	$node->sql(qq{INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, delivery_status, finished_at)
		SELECT '$word ' || n, 'app.task', 'success', 'sent', now() - interval '40 days' + n * interval '1 second' FROM generate_series(1, $count) AS n});
	return;
}

# The worker looks once a minute; a new one looks at once.
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

sub check_retention
{
	my ($what, $make, $unmake, $pattern) = @_;
	my $log_offset = -s $node->logfile;

	finish('old', 40);
	$node->sql($make);
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

# ---- A slow foreign key ----

# The longest time from a task's report to its mail, in seconds.
sub longest_wait
{
	my ($mails) = @_;
	my $longest = 0;

	foreach (1 .. $mails)
	{
		my $row = $node->wait_for_state($node->report, 'sent');
		my $took = $node->sql("SELECT EXTRACT(epoch FROM finished_at - created_at) FROM rhesis_notify.task_notifications WHERE id = $row->{id}");
		$longest = $took if $took > $longest;
	}
	return $longest;
}

my $usual = longest_wait(5);
finish('slow', 3000);
$node->sql(q{CREATE TABLE public.receipt (notification_id bigint REFERENCES rhesis_notify.task_notifications ON DELETE SET NULL);
	INSERT INTO public.receipt SELECT (SELECT min(id) FROM rhesis_notify.task_notifications WHERE task_id LIKE $$slow%$$) FROM generate_series(1, 100000)});
purge_now();
$node->wait_for("SELECT count(*) < 3000 FROM rhesis_notify.task_notifications WHERE task_id LIKE 'slow%'");
my $longest = longest_wait(20);
note("the longest time from a task's report to its mail: $longest s, before that $usual s");
cmp_ok($node->sql('SELECT count(*) FROM rhesis_notify.task_notifications WHERE task_id LIKE $$slow%$$'), '>', 0, 'while a foreign key without an index makes retention slow');
# Not for a batch of many rows; of each row the time is limited.
cmp_ok($longest, '<', 10 + 5 * $usual, 'mails do not wait for it');

$node->stop;
done_testing();

# A worker dies while it prepares mails: no mail is in doubt. The row that causes it is found, and
# only that row fails.
use strict;
use warnings FATAL => 'all';

use RhesisNotify::Cluster;
use RhesisNotify::Deeds qw(report_with outcomes);
use RhesisNotify::Peer;
use Test::More;

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer,
	settings => { recipients => 'app.recipients', max_attempts => 2, retry_delay => '100ms', in_doubt => 'hold', smtp_connections => 4,
		'server.restart_after_crash' => 'on' });

$node->sql(
	q{
	CREATE SCHEMA app;
	CREATE FUNCTION app.die() RETURNS text LANGUAGE c AS '$libdir/deadly', 'deadly_end';
	CREATE TABLE app.person (user_id text PRIMARY KEY, deed text);
	INSERT INTO app.person SELECT 'person ' || n FROM generate_series(1, 60) AS n;
	CREATE FUNCTION app.act(deed text) RETURNS text LANGUAGE plpgsql AS $$
	BEGIN
		CASE deed
			WHEN 'die' THEN
				RETURN app.die();
			WHEN 'terminate' THEN
				PERFORM pg_terminate_backend(pg_backend_pid());
				PERFORM pg_sleep(60);
			WHEN 'sleep' THEN
				PERFORM pg_sleep(3);
		END CASE;
		RETURN NULL;
	END $$;
	CREATE VIEW app.recipients AS
		SELECT user_id, coalesce(CASE WHEN deed IS NOT NULL THEN app.act(deed) END, replace(user_id, ' ', '') || '@example.com') AS email FROM app.person;
});
$node->reload;
$node->wait_for(q{SELECT count(*) = 1 FROM rhesis_notify.worker_status WHERE state = 'idle'});

my $in_doubt = q{SELECT count(*) FROM rhesis_notify.delivery_events WHERE event = 'in_doubt'};

# Checks that every other mail arrived once, and that none is in doubt.
sub nobody_else_is_harmed
{
	my ($what) = @_;
	my %ids = map { $_->raw_header('Message-ID') => 1 } $peer->mails;

	is(scalar(keys %ids), $peer->mail_count, "$what: nobody was mailed twice");
	is($node->sql($in_doubt), 0, "$what: nobody was in doubt");
	return;
}

sub deaths
{
	my ($log_offset, $how) = @_;
	return scalar(() = $node->log($log_offset) =~ /$how/g);
}

# ---- The row crashes the process ----

my $log_offset = -s $node->logfile;
report_with($node, 'fatal', 'die', 7);
is(outcomes($node, 'fatal'), '7 failed interrupted', 'a row that ends the worker fails');
nobody_else_is_harmed('a row that ends the worker');
my $found = deaths($log_offset, 'FATAL:  ended by a test');
cmp_ok($found, '<=', 4, "it is found in a few deaths ($found for two attempts)");
like($node->log($log_offset), qr/WARNING:  a worker ended while it prepared a notification\n.*Notification 7 is (?:deferred|failed) \(interrupted\)/, 'the log says which');
is($node->sql(q{SELECT string_agg(event || ' ' || (detail ->> 'message'), ', ' ORDER BY id) FROM rhesis_notify.delivery_events WHERE notification_id = 7}),
	join(', ', map { "$_ the worker ended while it looked up the recipient or rendered the mail" } 'deferred', 'failed'), 'so do its events');
is($node->sql(q{SELECT ok || ' ' || (value ~ '^a worker ended while it prepared notification 7, ') FROM rhesis_notify.health() WHERE check_name = 'recipients'}),
	'false true', 'and health()');

$log_offset = -s $node->logfile;
report_with($node, 'two', 'die', 13, 44);
is(outcomes($node, 'two'), '13 failed interrupted, 44 failed interrupted', 'so are two such rows');
nobody_else_is_harmed('two rows that end the worker');
$found = deaths($log_offset, 'FATAL:  ended by a test');
cmp_ok($found, '<=', 8, "they are found in a few deaths ($found)");

# ---- The row terminates the worker with SIGTERM ----

report_with($node, 'terminate', 'terminate', 20);
is(outcomes($node, 'terminate'), '20 failed interrupted', 'a row whose look-up terminates the worker fails');
nobody_else_is_harmed('a row that terminates the worker');

# ---- Somebody else terminates the worker during a look-up: no row is blamed ----

report_with($node, 'other', 'sleep', 30);
$node->wait_for(q{SELECT count(*) = 1 FROM rhesis_notify.worker_status WHERE state = 'looking up recipients'});
my $old = $node->worker('pid');
$node->sql("SELECT pg_terminate_backend($old)");
$node->wait_for(qq{SELECT count(*) = 1 FROM rhesis_notify.worker_status WHERE pid <> $old AND state <> 'stopped'});
is(outcomes($node, 'other'), '', 'a worker that an operator terminates harms nobody');
nobody_else_is_harmed('a worker that is terminated');

# ---- A crash clears the shared memory: claimed rows are in doubt, as usual ----

report_with($node, 'crash', 'sleep', 30);
$node->wait_for(q{SELECT count(*) = 1 FROM rhesis_notify.worker_status WHERE state = 'looking up recipients'});
$log_offset = -s $node->logfile;
kill 'KILL', $node->worker('pid');
$node->wait_for_log(qr/all server processes terminated; reinitializing/, $log_offset);
$node->poll_query_until('postgres', 'SELECT true') or die 'the server is not back';
$node->wait_for(q{SELECT count(*) > 0 FROM rhesis_notify.delivery_events WHERE event = 'in_doubt'});
pass('after a crash of the server what was claimed is in doubt');

$node->stop;
done_testing();

# Logical replication and copies: after the initial copy of a subscription the subscriber is a copy.
# The rows of a running subscription are mailed. A publication of all tables makes the subscriber a
# copy, and breaks nothing.
use strict;
use warnings FATAL => 'all';

use RhesisNotify::Cluster qw($ACME);
use RhesisNotify::Peer;
use Test::More;

my $peer = RhesisNotify::Peer->start;
my $publisher = RhesisNotify::Cluster->serve('publisher', allows_streaming => 'logical');
my $subscriber = RhesisNotify::Cluster->serve('subscriber', peer => $peer, allows_streaming => 'logical', bare => 1,
	settings => { 'server.max_worker_processes' => 32, 'server.max_logical_replication_workers' => 12 });
my $tables = 'rhesis_notify.task_notifications';
my $connection = RhesisNotify::Cluster::literal($publisher->connstr('postgres'));
my $is = q{SELECT state = '%s' FROM rhesis_notify.worker_status WHERE database = current_database()};

sub subscribe
{
	my ($database, $publication) = @_;

	$subscriber->sql("CREATE SUBSCRIPTION $database CONNECTION $connection PUBLICATION $publication WITH (slot_name = '$database')", $database);
	$subscriber->wait_for(q{SELECT count(*) > 0 AND bool_and(srsubstate IN ('r', 's')) FROM pg_subscription_rel}, $database);
	return;
}

sub unsubscribe
{
	my ($database) = @_;

	$subscriber->sql("DROP SUBSCRIPTION $database", $database);
	$subscriber->sql("DROP DATABASE $database WITH (FORCE)");
	return;
}

# Waits until a new worker has examined the whole queue.
sub looked
{
	my ($state, $database) = @_;

	$subscriber->sql("SELECT pg_terminate_backend(pid) FROM rhesis_notify.worker_status WHERE database = '$database'", $database);
	$subscriber->wait_for(sprintf($is, $state), $database);
	return;
}

# The publisher has no mail server, so its reports wait.
$publisher->sql(qq{INSERT INTO rhesis_notify.templates (organization_id, name, subject) VALUES ('$ACME', 'task_completion', 'Custom: {{status_title}}');
	SELECT rhesis_notify.email_notification('app.export')});
my $first = $publisher->report(task_id => 'first');
$publisher->sql("UPDATE $tables SET created_at = created_at - interval '1 hour'");

# ---- Only the queue is published ----

$publisher->sql("CREATE PUBLICATION queue FOR TABLE $tables");
$subscriber->sql('CREATE DATABASE queue');
$subscriber->create_app('queue');
subscribe('queue', 'queue');
looked('a copy', 'queue');
is($subscriber->notification($first, 'queue')->{delivery_status}, 'pending', 'the first copy of a subscription decides nothing');
is($peer->mail_count, 0, 'and mails nothing');
is($subscriber->sql('SELECT rhesis_notify.adopt_database(true)', 'queue'), 1, 'it is adopted');
$subscriber->wait_for_state($first, 'sent', 'queue');
my $second = $publisher->report(task_id => 'second');
$subscriber->wait_for("SELECT count(*) = 2 FROM $tables", 'queue');
$subscriber->sql('SELECT rhesis_notify.wake_workers()', 'queue');
$subscriber->wait_for_state($second, 'sent', 'queue');
is($peer->mail_count, 2, 'rows that a running subscription adds are mailed, each once');
unsubscribe('queue');

# Without the initial copy, no row is older than the subscriber.
$subscriber->sql('CREATE DATABASE running');
$subscriber->create_app('running');
$subscriber->sql("CREATE SUBSCRIPTION running CONNECTION $connection PUBLICATION queue WITH (slot_name = 'running', copy_data = false)", 'running');
my $third = $publisher->report(task_id => 'third');
$subscriber->wait_for("SELECT count(*) = 1 FROM $tables", 'running');
$subscriber->sql('SELECT rhesis_notify.wake_workers()', 'running');
$subscriber->wait_for_state($third, 'sent', 'running');
pass('rows of a subscription without a first copy are mailed');
unsubscribe('running');

# ---- All tables are published, and both databases are paused ----

$publisher->sql('SELECT rhesis_notify.pause()');
$publisher->sql('CREATE PUBLICATION everything FOR ALL TABLES');
$subscriber->sql('CREATE DATABASE everything');
$subscriber->create_app('everything');
$subscriber->sql('TRUNCATE public."user", public.organization; SELECT rhesis_notify.pause()', 'everything');
my $own = $subscriber->sql('SELECT jsonb_agg(to_jsonb(t) ORDER BY name) FROM rhesis_notify.shipped_templates AS t', 'everything');
subscribe('everything', 'everything');
pass('a publication FOR ALL TABLES can be copied');
is($subscriber->sql('SELECT jsonb_agg(to_jsonb(t) ORDER BY name) FROM rhesis_notify.shipped_templates AS t', 'everything'), $own, 'what ships is the subscriber\'s own');
is($subscriber->sql('SELECT count(*) FROM rhesis_notify.database_birth', 'everything'), 1, 'so is its birth');
is($subscriber->sql('SELECT count(*) FROM rhesis_notify.database_identity', 'everything'), 2, 'the publisher\'s identity has arrived');
looked('a copy', 'everything');

# The publisher changes its shipped rows.
$publisher->sql(q{UPDATE rhesis_notify.shipped_templates SET subject = subject || '!' WHERE subject IS NOT NULL;
	INSERT INTO rhesis_notify.shipped_task_types VALUES ('another', 'task_completion');
	DELETE FROM rhesis_notify.shipped_task_types WHERE task_name = 'collect_results';
	SELECT rhesis_notify.resume()});
my $fourth = $publisher->report(task_id => 'fourth');
$subscriber->wait_for("SELECT count(*) = 4 FROM $tables", 'everything');
is($subscriber->sql('SELECT jsonb_agg(to_jsonb(t) ORDER BY name) FROM rhesis_notify.shipped_templates AS t', 'everything'), $own, 'its changes are not taken over');
is($subscriber->sql(q{SELECT string_agg(task_name, ' ' ORDER BY task_name) FROM rhesis_notify.shipped_task_types}, 'everything'), 'collect_results email_notification_test',
	'of no kind');
is($subscriber->sql('SELECT count(*) FROM rhesis_notify.database_pause', 'everything'), 1, 'nor is the end of its pause');
is($peer->mail_count, 3, 'nothing was mailed');
is($subscriber->sql('SELECT rhesis_notify.adopt_database(true)', 'everything'), 4, 'the subscriber is adopted');
$subscriber->wait_for(sprintf($is, 'paused'), 'everything');
$subscriber->sql('SELECT rhesis_notify.resume()', 'everything');
$subscriber->wait_for("SELECT count(*) = 4 FROM $tables WHERE delivery_status = 'sent'", 'everything');
$peer->wait_for_mails(7);
is_deeply([ map { $_->header('Subject') } ($peer->mails)[ 3 .. 6 ] ], [ ('Custom: Success') x 4 ], 'then what waited goes out, with the templates that came');
my $fifth = $publisher->report(task_id => 'fifth');
$subscriber->wait_for("SELECT count(*) = 5 FROM $tables", 'everything');
$subscriber->sql('SELECT rhesis_notify.wake_workers()', 'everything');
$subscriber->wait_for_state($fifth, 'sent', 'everything');
pass('and what the subscription adds is mailed');
is($subscriber->sql(q{SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel}, 'everything'), 't', 'the subscription runs');
unlike($subscriber->log, qr/duplicate key/, 'no copy failed');
unsubscribe('everything');

$subscriber->stop;
$publisher->stop;
done_testing();

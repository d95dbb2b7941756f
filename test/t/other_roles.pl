# What other roles and other databases can do to the mail of this one, and see of it: nothing.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use RhesisNotify::Session;
use Test::More;

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer);

# A query of another role.
sub as
{
	my ($role, $query, $database) = @_;
	my $session = RhesisNotify::Session->start($node, user => $role, database => $database // 'postgres');
	my ($result) = $session->query($query);

	$session->quit;
	return $result;
}

sub pid_of_worker
{
	return $node->worker('pid');
}

# ---- Settings of one's own ----

$node->sql('CREATE ROLE joe LOGIN');
$node->wait_for_state($node->report, 'sent');
my $pid = pid_of_worker();
as('joe', q{ALTER ROLE joe SET work_mem = '5MB'}) for 1 .. 5;
$node->wait_for_state($node->report, 'sent');
is(pid_of_worker(), $pid, 'a role that sets something for itself replaces no worker');
$node->sql(q{ALTER DATABASE postgres SET rhesis_notify.max_attempts = 3});
$node->wait_for("SELECT pid <> $pid AND state = 'idle' FROM rhesis_notify.worker_status WHERE database = 'postgres'");
pass('a setting of the database does');

# ---- Troubles of another database ----

$node->sql('CREATE DATABASE other');
$node->sql('CREATE EXTENSION rhesis_notify', 'other');
$node->sql(q{CREATE ROLE eve LOGIN; SELECT rhesis_notify.grant_to('eve')}, 'other');
my $databases = q{SELECT string_agg(DISTINCT database, ' ' ORDER BY database) FROM rhesis_notify.worker_slots()};
$node->wait_for(q{SELECT count(*) = 2 FROM rhesis_notify.worker_slots() WHERE state = 'idle'});
is(as('eve', $databases, 'other'),
	'other', 'a task role sees the workers of its own database alone');
$node->sql('GRANT pg_read_all_stats TO eve');
is(as('eve', $databases, 'other'),
	'other postgres', 'unless it may read all statistics');

# ---- A lock that somebody holds, and a reload ----

my ($user) = $node->sql(q{INSERT INTO public."user" (email, name, organization_id) SELECT 'locked@example.com', 'L', id FROM public.organization LIMIT 1 RETURNING id});
$peer->rules({ stage => 'dot', match => 'locked@', action => 'silence', count => 1 });
my $locked = $node->report(user_id => $user);
$node->wait_for_state($locked, 'sending');
my $holder = RhesisNotify::Session->start($node);
$holder->query("BEGIN; SELECT id FROM rhesis_notify.task_notifications WHERE id = $locked FOR UPDATE");
$peer->hang_up;
$node->wait_for(q{SELECT in_flight = 0 FROM rhesis_notify.worker_status WHERE database = 'postgres'});
$pid = pid_of_worker();
$node->reload;
$node->wait_for_state($node->report, 'sent');
pass('mail goes on while a row is locked whose outcome waits, although new settings wait too');
$holder->query('COMMIT');
$holder->quit;
$node->wait_for("SELECT pid <> $pid AND state = 'idle' FROM rhesis_notify.worker_status WHERE database = 'postgres'");
pass('then the worker is replaced');
$node->wait_for_state($locked, 'sent');
pass('and nothing is lost');

done_testing();

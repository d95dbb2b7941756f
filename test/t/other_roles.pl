# Other roles and other databases cannot change the mail of this database, and cannot see anything
# of it.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use RhesisNotify::Session;
use Test::More;

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer);

# Runs a query as another role.
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

# ---- A role's own settings ----

$node->sql('CREATE ROLE joe LOGIN');
$node->wait_for_state($node->report, 'sent');
my $pid = pid_of_worker();
as('joe', q{ALTER ROLE joe SET work_mem = '5MB'}) for 1 .. 5;
$node->wait_for_state($node->report, 'sent');
is(pid_of_worker(), $pid, 'a role that sets something for itself replaces no worker');
$node->sql(q{ALTER DATABASE postgres SET rhesis_notify.max_attempts = 3});
$node->wait_for("SELECT pid <> $pid AND state = 'idle' FROM rhesis_notify.worker_status WHERE database = 'postgres'");
pass('a setting of the database does');

# ---- A mail server's reply about a user of another organization ----

# Returns last_error as a role sees it, through the view and the function.
sub last_errors
{
	my ($role) = @_;
	return join ' | ', map { as($role, "SELECT coalesce(last_error, 'none') FROM $_ WHERE database = 'postgres'") } qw(rhesis_notify.worker_status rhesis_notify.worker_slots());
}

$node->sql(
	q{
	CREATE ROLE task LOGIN;
	CREATE ROLE operator LOGIN;
	CREATE ROLE task_operator LOGIN IN ROLE operator;
	CREATE ROLE auditor LOGIN BYPASSRLS;
	CREATE ROLE blind_auditor LOGIN BYPASSRLS;
	SELECT rhesis_notify.grant_to('task'), rhesis_notify.grant_to('task_operator'), rhesis_notify.grant_to('operator', 'operator'),
		rhesis_notify.grant_to('auditor'), rhesis_notify.grant_to('blind_auditor');
	REVOKE SELECT ON rhesis_notify.task_notifications FROM blind_auditor;
	GRANT pg_read_all_stats TO task;
});
# The role by_view reaches the function through a view of another role, and has no right to use the
# schema.
$node->sql(q{
	CREATE ROLE by_view LOGIN;
	GRANT EXECUTE ON FUNCTION rhesis_notify.worker_slots() TO by_view;
	CREATE VIEW public.workers AS SELECT last_error FROM rhesis_notify.worker_status;
	GRANT SELECT ON public.workers TO by_view;
});
foreach my $case (
	[ '550 5.1.1 <hank@globex.example>: no such user', '550 5.1.1' ],
	[ '550 hank@globex.example is unknown', '550' ],
	[ '550 5.1.1hank@globex.example is unknown', '550' ],
	[ '550 5.7.1', '550 5.7.1' ])
{
	my ($reply, $code) = @$case;
	$peer->rules({ stage => 'rcpt', action => 'reply', text => $reply, count => 1 });
	$node->wait_for_state($node->report, 'failed');
	$node->wait_for(sprintf('SELECT last_error = %s FROM rhesis_notify.worker_status', RhesisNotify::Cluster::literal($reply)));
	is(last_errors($_), "$reply | $reply", "$_ sees that a server said $reply") foreach qw(operator task_operator auditor);
	is(last_errors($_), "$code | $code", "$_ sees its code") foreach qw(task blind_auditor);
	is(as('by_view', 'SELECT last_error FROM public.workers'), $code, 'so does a role that has but a view');
}
$peer->rules;
$node->sql(q{SET client_min_messages = error; ALTER TABLE public."user" RENAME COLUMN email TO address_of_globex});
$node->report;
$node->wait_for(q{SELECT state = 'waiting for recipients' FROM rhesis_notify.worker_status});
like(last_errors('operator'), qr/email.* \| .*email/, 'an operator sees why recipients can\'t be read');
is(last_errors('task'), join(' | ', ('an error, whose text is shown to operators') x 2), 'a task sees that something is wrong');
$node->sql(q{ALTER TABLE public."user" RENAME COLUMN address_of_globex TO email});
$node->wait_for(q{SELECT state = 'idle' FROM rhesis_notify.worker_status});

# ---- Problems of another database ----

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
$peer->rules({ stage => 'rcpt', action => 'reply', text => '550 5.1.1 <jane@example.com>: no such user', count => 1 });
$node->wait_for_state($node->report, 'failed');
$node->wait_for(q{SELECT last_error ~ 'jane' FROM rhesis_notify.worker_status WHERE database = 'postgres'});
$node->sql(q{SELECT rhesis_notify.grant_to('eve', 'operator')}, 'other');
is(as('eve', q{SELECT last_error FROM rhesis_notify.worker_status WHERE database = 'postgres'}, 'other'),
	'550 5.1.1', 'and an operator of one database does not read what a server says to another');
$peer->rules;

# ---- A held lock and a reload ----

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

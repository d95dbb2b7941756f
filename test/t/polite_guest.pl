# A mail server that hangs holds up nothing but mail: no transaction of ours is open, whoever works on the database gets
# through, and the server stops fast whatever the worker is at.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use Test::More;
use Time::HiRes qw(time);

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, allows_streaming => 1, settings => { retry_delay => '1s' });
my $in_flight = q{SELECT coalesce(sum(in_flight), 0) > 0 FROM rhesis_notify.worker_status WHERE database = 'postgres'};
my $all_sent = q{SELECT bool_and(delivery_status = 'sent') FROM rhesis_notify.task_notifications};

# A statement of its own that must not wait for anybody; returns what psql complains of.
sub at_once
{
	my ($statement) = @_;
	my $error;
	local $ENV{PGOPTIONS} = ($ENV{PGOPTIONS} // '') . ' -c lock_timeout=5s -c statement_timeout=60s';

	$node->psql('postgres', $statement, stderr => \$error);
	return $error;
}

# ---- During a hang ----

$node->sql('CREATE DATABASE other');
$node->create_app('other');
$node->wait_for(q{SELECT count(*) FILTER (WHERE state = 'idle') = 2 FROM rhesis_notify.worker_status});

$peer->rules({ stage => 'dot', action => 'silence' });
$node->report_many(20, task_name => 'app.hanging');
$peer->wait_for_transcript(qr/\(mail of \d+ bytes\)/);

is( $node->sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'rhesis_notify'
		AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL OR xact_start IS NOT NULL)}),
	0, 'no transaction of ours is open');
is( $node->sql(q{SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE backend_type ~ 'rhesis_notify'}),
	0, 'no lock of ours is held');
foreach my $statement (
	'VACUUM FULL public."user"',
	'VACUUM rhesis_notify.task_notifications',
	'ALTER TABLE public."user" ADD COLUMN nickname text',
	'ALTER TABLE public.organization ALTER COLUMN name SET NOT NULL',
	'TRUNCATE public."user"',
	'DROP DATABASE other')
{
	is(at_once($statement), '', "$statement goes through");
	is($node->sql($in_flight), 't', '... while mails are hanging');
}

# ---- Dropped and created again during a hang ----

is(at_once('DROP EXTENSION rhesis_notify'), '', 'DROP EXTENSION goes through');
$peer->rules;
is(at_once('CREATE EXTENSION rhesis_notify'), '', 'the extension can be created again');
$node->sql(qq{INSERT INTO public."user" (id, email) VALUES ('$RhesisNotify::Cluster::JANE', 'jane\@example.com')});
my $id = $node->report(organization_id => undef);
$node->wait_for_state($id, 'sent');
pass('and mails although its predecessor\'s mails hang');

# ---- New settings during a hang ----

my $other_peer = RhesisNotify::Peer->start;
$peer->rules({ stage => 'rcpt', action => 'silence' });
$node->report_many(20, task_name => 'app.reloaded', organization_id => undef);
$node->wait_for($in_flight);
$node->reconfigure(RhesisNotify::Cluster::peer_settings($other_peer));
$node->wait_for(qq{SELECT count(*) = 20 FROM rhesis_notify.task_notifications WHERE task_name = 'app.reloaded' AND delivery_status = 'sent' AND attempts = 1});
is($other_peer->mail_count, 20, 'a reload takes mails away from a server that hangs before it has them, and costs no attempt');
$peer->rules;
$node->reconfigure(RhesisNotify::Cluster::peer_settings($peer));

# ---- A fast shutdown ----

# A phase, the rule that keeps the worker in it, and how to tell that it is.
my @phases = (
	[ 'idle', undef, q{SELECT state = 'idle' FROM rhesis_notify.worker_status} ],
	[ 'in the middle of connecting', { stage => 'greeting', action => 'silence' }, $in_flight ],
	[ 'in the middle of the TLS handshake', { stage => 'tls', action => 'silence' }, $in_flight ],
	[ 'waiting for the reply to RCPT', { stage => 'rcpt', action => 'silence' }, $in_flight ],
	[ 'waiting for the reply to a mail', { stage => 'dot', action => 'silence' }, $in_flight ],
	[ 'backing off', { stage => 'mail', action => 'reply', text => '421 4.3.2 Going down' }, q{SELECT state = 'backing off' FROM rhesis_notify.worker_status} ],
	[ 'sending', undef, q{SELECT count(*) > 5 FROM rhesis_notify.task_notifications WHERE delivery_status = 'sent' AND task_name = 'app.phase 7'} ],);
my $number = 0;
# The app's relation takes its time.
$node->sql(q{ALTER TABLE public."user" RENAME TO person;
	CREATE VIEW public."user" AS SELECT person.* FROM public.person, (SELECT pg_sleep(60) OFFSET 0) AS pause});
$node->report(organization_id => undef);
$node->wait_for(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'rhesis_notify worker' AND wait_event = 'PgSleep'});
my $begin = time;
$node->stop('fast');
cmp_ok(time - $begin, '<', 3, sprintf 'a fast shutdown while recipients are looked up takes %.1f s', time - $begin);
$node->start;
$node->sql(q{DROP VIEW public."user"; ALTER TABLE public.person RENAME TO "user"});
$node->wait_for($all_sent);

# A synchronous standby is away: commits wait for it.
{
	local $ENV{PGOPTIONS} = '-c synchronous_commit=local';
	my $waits = q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'rhesis_notify worker' AND wait_event = 'SyncRep'};
	my $mails = $peer->mail_count;

	$node->sql("CREATE DATABASE bystander_$_") foreach 1 .. 3;
	$node->configure('server.synchronous_standby_names' => 'absent');
	$node->reload;
	$node->report_many(20, task_name => 'app.not replicated', organization_id => undef);
	$node->wait_for($waits);
	foreach my $number (1 .. 3)
	{
		is(at_once("DROP DATABASE bystander_$number"), '', 'a database can be dropped while the worker waits for a synchronous standby');
		$node->wait_for($waits);
	}
	is($peer->mail_count, $mails, 'nothing is mailed of which the standby has no claim');
	$begin = time;
	$node->stop('fast');
	cmp_ok(time - $begin, '<', 3, sprintf 'a fast shutdown while it waits for a synchronous standby takes %.1f s', time - $begin);
	$node->configure('server.synchronous_standby_names' => '');
	$node->start;
	$node->wait_for($all_sent);
}

foreach my $phase (@phases)
{
	my ($name, $rule, $reached) = @$phase;

	$number++;
	$peer->stop;
	$peer->rules($rule // ());
	$peer->start_again;
	$node->report_many($name eq 'sending' ? 2000 : 20, task_name => "app.phase $number", organization_id => undef)
	  unless $name eq 'idle';
	$node->wait_for($reached);
	my $start = time;
	$node->stop('fast');
	my $seconds = time - $start;
	cmp_ok($seconds, '<', 3, sprintf 'a fast shutdown while it is %s takes %.1f s', $name, $seconds);
	$peer->rules;
	$node->start;
	$node->wait_for($all_sent);
}
pass('every mail was sent after all');

$node->stop;
done_testing();

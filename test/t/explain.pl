# explain() beside a running worker: for mails that are sent, deferred, refused, in doubt or being
# sent; and for mails that wait for a server, for earlier mails at a low rate, for settings, or for
# an unreadable table. Also who may call it. test/pgtap/explain.sql tests each decision.
use strict;
use warnings FATAL => 'all';

use RhesisNotify::Cluster qw($ACME $JANE $JOSE);
use RhesisNotify::Peer;
use Test::More;

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, settings => { retry_delay => '1h', retry_max_delay => '1h', in_doubt => 'hold' });

# Returns the explanation as a list of [step, decision, detail, advice].
sub explanation
{
	my ($id, $role) = @_;
	my $rows = $node->sql(($role ? "SET ROLE $role; " : '') . "SELECT concat_ws(E'\\t', step, decision, coalesce(detail, ''), advice) FROM rhesis_notify.explain($id)");
	return map { [ split /\t/, $_ ] } split /\n/, $rows =~ s/^SET\n//r;
}

# Returns the rows of the step with this name, each as one line without the name.
sub step
{
	my ($id, $name) = @_;
	return map { join ' | ', @$_[ 1 .. $#$_ ] } grep { $_->[0] eq $name } explanation($id);
}

# ---- Sent, deferred and refused ----

my $id = $node->report;
$node->wait_for_state($id, 'sent');
like((step($id, 'state'))[0], qr/^sent \| attempts: 1, since \S+ \S+ \(\d+s ago\); 250 2\.0\.0 Ok: queued as/, 'sent: with the server\'s words');
like((step($id, 'next'))[0], qr/^nothing \| .* \| If it did not arrive, search the mail server's log for Message-ID <\S+\@rhesis\.example>/, 'and where to ask');

$peer->rules({ stage => 'rcpt', action => 'reply', text => '450 4.2.0 Mailbox busy', count => 1 });
$id = $node->report;
$node->wait_for_state($id, 'deferred');
like((step($id, 'attempt'))[0], qr/^deferred \| \S+ \S+ \(\d+s ago\), at RCPT TO: 450 4\.2\.0 Mailbox busy$/, 'deferred: when, where and why');
like((step($id, 'next'))[0], qr/^attempt 2 of 12 \| at \S+ \S+ \(in \d+m \d+s\) \| At once: SELECT rhesis_notify\.retry\($id\);$/, 'and when it is tried again');
like((step($id, 'mail server'))[0], qr/^localhost:\d+ \| \d+ connections?; the last mail was sent \S+ \S+ \(\d+s ago\)$/, 'the mail server is well: since when that is known');

$peer->rules({ stage => 'rcpt', action => 'reply', text => '550 5.1.1 No such user', count => 1 });
$id = $node->report;
$node->wait_for_state($id, 'failed');
like((step($id, 'attempt'))[0], qr/^failed \| .*at RCPT TO: 550 5\.1\.1 No such user$/, 'refused: by whom and why');
like((step($id, 'next'))[0], qr/^nothing .* Nothing prevents it now\. To send it: SELECT rhesis_notify\.retry\($id\);$/, 'and how to try again');
$node->sql("SELECT rhesis_notify.retry($id)");
$node->wait_for_state($id, 'sent');
is_deeply([ map { $_->[1] } grep { $_->[0] =~ /attempt|operator/ } explanation($id) ], [qw(failed retried)], 'what an operator has done is in its place');

$peer->rules({ stage => 'accepted', action => 'close', count => 1 });
$id = $node->report;
$node->wait_for_state($id, 'held');
like((step($id, 'attempt'))[0], qr/^in_doubt \| .*after the end of the message/, 'in doubt: what happened');
like((step($id, 'next'))[0], qr/^nothing \| it waits for retry\(\) or cancel\(\) \| Look for its Message-ID/, 'and that somebody has to decide');

# ---- While it is sent ----

$peer->rules({ stage => 'rcpt', action => 'silence', match => 'jose' });
$id = $node->report(user_id => $JOSE);
$node->wait_for_state($id, 'sending');
my $pid = $node->worker('pid');
like((step($id, 'state'))[0], qr/^sending \| attempts: 0, by worker 1, process $pid/, 'sending: by which process');
is((step($id, 'next'))[0], "the mail server's reply | waited for up to 10m 0s (rhesis_notify.send_timeout)", 'and what it waits for');
$peer->stop;
$peer->rules;

# ---- Waiting ----

$id = $node->report;
$node->wait_for(q{SELECT backing_off_until IS NOT NULL AND state = 'backing off' AND last_error ~ 'onnect to ' FROM rhesis_notify.worker_status});
like((step($id, 'mail server'))[0], qr/^backing off until \S+ \S+ \((?:in \d+s|0s ago)\) \| localhost:\d+, \S+ \S+ \(\d+s ago\): .+ \| Check rhesis_notify\.smtp_port, .*SELECT \* FROM rhesis_notify\.check_smtp\(\)/,
	'a server in trouble: what it said last, and until when it is left alone');
$peer->start_again;
$node->wait_for_state($id, 'sent');

$peer->rules({ stage => 'mail', action => 'reply', text => '451 4.7.1 Rate limit exceeded, slow down', count => 1 });
$node->report;
$node->wait_for(q{SELECT count(*) = 0 FROM rhesis_notify.task_notifications
	WHERE delivery_status IN ('pending', 'sending', 'deferred') AND next_attempt_at < now() + interval '30 min'});
$node->sql('SELECT rhesis_notify.pause()');
$id = $node->report;
like((step($id, 'pace'))[0], qr/^\d+\.\d mails a second \| the mail server asked for a slower pace \| It rises again by itself\. Set rhesis_notify\.max_rate/, 'a slower pace: why, and what to do');
$id = $node->report;
like((step($id, 'pace'))[0], qr/^\d+\.\d mails a second \| the mail server asked for a slower pace; due before it: 1 \| It rises/, 'and how many are due before it');
$node->sql('SELECT rhesis_notify.resume()');
$node->wait_for_state($id, 'sent');

$node->sql('ALTER TABLE public."user" RENAME email TO mail');
$id = $node->report;
$node->wait_for(q{SELECT state = 'waiting for recipients' FROM rhesis_notify.worker_status});
like((step($id, 'recipient'))[0], qr/^cannot be read \| relation "user" has no column "email"\. public\."user" is read as role "\w+"\. \| Set rhesis_notify\.recipients to/,
	'recipients that can\'t be read: why, as whom, and what to do');
like((step($id, 'worker'))[0], qr/^waiting for recipients \| relation "user" has no column "email", /, 'the worker says the same');
$node->sql('ALTER TABLE public."user" RENAME mail TO email');
$node->wait_for_state($id, 'sent');

$node->reconfigure(smtp_host => '');
$id = $node->report;
like((step($id, 'mail server'))[0], qr/^mail is off \| rhesis_notify\.smtp_host \(environment: SMTP_HOST\) is not set/, 'settings that are missing');
is((split / \| /, (step($id, 'next'))[0])[1], 'when the settings are complete', 'and that it waits for them');
$node->reconfigure(smtp_host => 'localhost');
$node->wait_for_state($id, 'sent');

# ---- Who may call it, and the rights for the application's relations ----

$node->sql(q{CREATE ROLE task LOGIN; CREATE ROLE operator LOGIN; CREATE ROLE app_owner NOLOGIN;
	SELECT rhesis_notify.grant_to('task'); SELECT rhesis_notify.grant_to('operator', 'operator');
	GRANT CREATE, USAGE ON SCHEMA public TO app_owner; GRANT SELECT ON public."user", public.organization TO app_owner;
	SET ROLE app_owner;
	CREATE FUNCTION public.whoami() RETURNS text LANGUAGE sql AS 'SELECT current_user::text';
	CREATE VIEW public.people AS SELECT id AS user_id, public.whoami() || '@example.com' AS email, organization_id FROM public."user"});
like($node->sql_error("SET ROLE task; SELECT * FROM rhesis_notify.explain($id)"), qr/permission denied for function explain/, 'a task\'s role may not ask');
$node->reconfigure(recipients => 'public.people');
my ($recipient) = grep { $_->[0] eq 'recipient' } explanation($id, 'operator');
is($recipient->[1], 'app_owner@example.com', 'for an operator who may not read the app\'s tables they are read as their owner, as the worker does it');
like($node->sql_error('\set VERBOSITY verbose' . "\nSELECT * FROM rhesis_notify.explain(0)"), qr/P0002: notification 0 does not exist\nHINT:  The task has not reported/, 'one that does not exist is an error');

$node->stop;
done_testing();

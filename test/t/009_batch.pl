
# One bad row in a batch harms only itself, whatever its problem is.
use strict;
use warnings FATAL => 'all';

use RhesisNotify::Cluster qw($ACME $JANE);
use RhesisNotify::Peer;
use Test::More;

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, settings => { retry_delay => '50ms', retry_max_delay => '100ms', max_attempts => 2 });

# A relation of the application that fails for one user on demand.
$node->sql(q{
	CREATE SCHEMA app;
	CREATE TABLE app.person (id bigint PRIMARY KEY, email text, name text);
	INSERT INTO app.person SELECT n, format('person.%s@example.com', n), format('Person %s', n) FROM generate_series(1, 200) AS n;
	CREATE FUNCTION app.name_of(id bigint, name text) RETURNS text LANGUAGE plpgsql AS $$
		BEGIN
			IF name = 'division' THEN RETURN 1 / 0; END IF;
			IF name = 'exception' THEN RAISE EXCEPTION 'no name for %', id; END IF;
			IF name = 'notice' THEN RAISE NOTICE 'a notice'; END IF;
			RETURN name;
		END $$;
	CREATE VIEW app.recipients AS SELECT id AS user_id, email, app.name_of(id, name) AS name FROM app.person;
});
$node->reconfigure(recipients => 'app.recipients');

my $batches = 0;

# Reports 200 tasks of 200 people in one transaction, in which $change makes the 100th task a bad
# one. All others must be mailed. Returns the id of the bad one.
sub harms_one
{
	my ($what, $change, $mend, %expected) = @_;
	my $name = 'app.batch_' . ++$batches;
	my $before = $peer->mail_count;

	$node->sql(qq{
		BEGIN;
		INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, user_id, template)
		OVERRIDING USER VALUE
		SELECT '$name ' || n, '$name', 'success', n::text, 'task_completion' FROM generate_series(1, 200) AS n;
		$change;
		COMMIT;} =~ s/BAD/task_id = '$name 100'/gr);
	$node->wait_for("SELECT count(*) = 200 FROM rhesis_notify.task_notifications WHERE task_name = '$name' AND finished_at IS NOT NULL");
	is($node->sql("SELECT count(*) FROM rhesis_notify.task_notifications WHERE task_name = '$name' AND task_id <> '$name 100' AND delivery_status = 'sent' AND attempts = 1"),
		199, "$what: 199 mails are sent, at the first attempt");
	is($node->sql("SELECT concat_ws(' ', delivery_status, delivery_reason) FROM rhesis_notify.task_notifications WHERE task_id = '$name 100'"),
		$expected{state}, "$what: the bad one is $expected{state}");
	is($peer->mail_count, $before + ($expected{state} eq 'sent' ? 200 : 199), "$what: so many have arrived");
	$node->sql($mend) if $mend;
	$peer->rules;
	return $node->sql("SELECT id FROM rhesis_notify.task_notifications WHERE task_id = '$name 100'");
}

sub person
{
	my ($name) = @_;
	return "UPDATE app.person SET name = '$name' WHERE id = 100";
}

my $mend = person('Person 100');
my $row = 'UPDATE rhesis_notify.task_notifications SET';

harms_one('nothing bad', 'SELECT', undef, state => 'sent');
harms_one('a user id that can\'t be cast', "$row user_id = 'hundred' WHERE BAD", undef, state => 'skipped unknown_user');
harms_one('a user id out of range', "$row user_id = '99999999999999999999' WHERE BAD", undef, state => 'skipped unknown_user');
my $id = harms_one('a view that divides by zero for one', person('division'), $mend, state => 'failed recipients_error');
like(($node->events($id))[-1]{detail}{message}, qr/division by zero/, 'the event says why');
harms_one('a view that raises an exception for one', person('exception'), $mend, state => 'failed recipients_error');
harms_one('a view that raises a notice for one', person('notice'), $mend, state => 'sent');
harms_one('an address that is broken', "UPDATE app.person SET email = 'broken' WHERE id = 100", "UPDATE app.person SET email = 'person.100\@example.com' WHERE id = 100", state => 'skipped invalid_email');
harms_one('a template that does not exist', "$row template = 'no_such' WHERE BAD", undef, state => 'sent');
harms_one('a subject that can\'t be parsed', "$row subject_template = '{{#a' WHERE BAD", undef, state => 'sent');
harms_one('a result of 5 MB', "$row result = jsonb_build_object('a', repeat('x', 5000000)) WHERE BAD", undef, state => 'sent');
$peer->rules({ stage => 'rcpt', match => 'person.100@', action => 'reply', text => '550 5.1.1 No such user' });
harms_one('a refused recipient', 'SELECT', undef, state => 'failed smtp_permanent');
$peer->rules({ stage => 'dot', match => 'person.100@', action => 'reply', text => '554 5.6.0 Not this one' });
harms_one('refused contents', 'SELECT', undef, state => 'failed smtp_permanent');
$peer->rules({ stage => 'rcpt', match => 'person.100@', action => 'close' });
harms_one('a server that hangs up on one', 'SELECT', undef, state => 'failed attempts_exhausted');

# If a relation fails for all rows, the queue waits, and no row fails.
$node->sql('ALTER TABLE app.person RENAME COLUMN email TO mail; DROP VIEW app.recipients; CREATE VIEW app.recipients AS SELECT id AS user_id, name FROM app.person');
$node->sql("INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, user_id, template) VALUES ('waits', 'app.waits', 'success', '1', 'task_completion')");
$node->wait_for_log(qr/WARNING:  notifications wait: recipients cannot be read: relation "recipients" has no column "email"\n.*DETAIL:  .*\n.*HINT:  /);
$node->wait_for("SELECT state = 'waiting for recipients' FROM rhesis_notify.worker_status");
is($node->sql("SELECT delivery_status || ' ' || attempts FROM rhesis_notify.task_notifications WHERE task_id = 'waits'"), 'deferred 0', 'a relation without addresses stops the queue and harms no mail');
$node->sql('DROP VIEW app.recipients; CREATE VIEW app.recipients AS SELECT id AS user_id, name, mail AS email FROM app.person');
$node->wait_for("SELECT delivery_status = 'sent' AND attempts = 1 FROM rhesis_notify.task_notifications WHERE task_id = 'waits'");
pass('mended, it goes on');

$node->stop;
done_testing();

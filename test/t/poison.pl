# A row that raises an error harms only itself: the others in its batch are sent, and the reason
# names the cause. If the cause is the application's schema, the queue waits and reports it, and no
# row fails.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use Test::More;

my $batch = 200;
my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer,
	settings => { smtp_connections => $batch / 4, recipients => 'app.recipients', max_attempts => 2, retry_delay => '1s' });
my $idle = q{SELECT count(*) FILTER (WHERE state = 'idle') = 1 FROM rhesis_notify.worker_status};
my $nothing_due = q{SELECT count(*) = 0 FROM rhesis_notify.task_notifications WHERE delivery_status IN ('pending', 'sending', 'deferred')};

$node->sql(
	q{
	CREATE ROLE app_owner;
	CREATE SCHEMA app AUTHORIZATION app_owner;
	SET ROLE app_owner;
	CREATE TABLE app.person (id text PRIMARY KEY, email text, credit int, data jsonb, age text);
	INSERT INTO app.person SELECT 'person ' || n, 'person' || n || '@example.com', 1, '{"locale": {"zone": "UTC"}}', '42' FROM generate_series(1, 200) AS n;
	CREATE VIEW app.recipients AS
		SELECT id AS user_id, email,
			concat(split_part(email, '@', 1), ' ', 100 / credit, ' ', age::int) AS name,
			jsonb_path_query_first(data, 'strict $.locale.zone') #>> '{}' AS timezone
		FROM app.person;
});

# Reports one task of each person. User ids, templates and results can be replaced by SQL
# expressions, in which n is the number of the person.
sub report_batch
{
	my ($name, %changes) = @_;
	my ($user, $template, $result) = @changes{qw(user_id template result)};

	$node->sql(qq{INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, user_id, template, result)
		SELECT '$name ' || n, 'app.task', 'success', @{[ $user // q('person ' || n) ]}, @{[ $template // q('task_completion') ]}, @{[ $result // 'NULL' ]}
		FROM generate_series(1, $batch) AS n});
	return;
}

# Returns the tasks of a batch that were not mailed, one per line: the number of the person, the
# state and the reason.
sub poisoned
{
	my ($name) = @_;
	return $node->sql(qq{SELECT substr(task_id, length('$name ') + 1) || ' ' || delivery_status || ' ' || delivery_reason
		FROM rhesis_notify.task_notifications WHERE task_id ~ '^$name ' AND delivery_status <> 'sent' ORDER BY id});
}

sub causes
{
	my ($name, $number) = @_;
	return $node->sql(qq{SELECT string_agg(detail ->> 'message', ' | ' ORDER BY e.id)
		FROM rhesis_notify.delivery_events AS e JOIN rhesis_notify.task_notifications AS n ON n.id = notification_id
		WHERE task_id = '$name $number'});
}

# ---- The application's data ----

$node->sql(q{
	UPDATE app.person SET credit = 0 WHERE id = 'person 17';
	UPDATE app.person SET data = '{"locale": "de"}' WHERE id = 'person 60';
	UPDATE app.person SET age = 'old' WHERE id = 'person 111';
	UPDATE app.person SET email = E'person@example.com\nBcc: everybody@example.com' WHERE id = 'person 150';
});
report_batch('data');
$node->wait_for("SELECT count(*) = 196 FROM rhesis_notify.task_notifications WHERE delivery_status = 'sent'");
pass('the rest of the batch goes out');
$node->wait_for($nothing_due);
is(poisoned('data'), "17 failed recipients_error\n60 failed recipients_error\n111 failed recipients_error\n150 skipped invalid_email",
	'what the app\'s data makes fail is given up after max_attempts');
is(causes('data', 17), 'division by zero (SQLSTATE 22012) | division by zero (SQLSTATE 22012)', 'a division by zero is named, once for each attempt');
like(causes('data', 60), qr/^jsonpath member accessor can only be applied to an object \(SQLSTATE 2203A\) \| /, 'so is a jsonb path that does not fit');
like(causes('data', 111), qr/^invalid input syntax for type integer: "old" \(SQLSTATE 22P02\) \| /, 'and a value that can\'t be cast');
$node->sql(q{UPDATE app.person SET credit = 1, data = '{"locale": {"zone": "UTC"}}', age = '1'});
is($node->sql("SELECT rhesis_notify.retry_failed(now() - interval '1 hour')"), 3, 'they can be retried when the data is mended');
$node->wait_for("SELECT count(*) = 199 FROM rhesis_notify.task_notifications WHERE delivery_status = 'sent'");
$node->sql(q{UPDATE app.person SET email = 'person@example.com' WHERE id = 'person 150'});

# ---- Tasks and templates ----

$node->sql(q{INSERT INTO rhesis_notify.templates (name, subject, text, html) VALUES
	('bomb', 'x', '{{#rows}}{{filler}}{{/rows}}', 'x'), ('loop', 'x', '{{#rows}}{{>loop}}{{/rows}}', 'x')});
report_batch('task',
	template => q{CASE n WHEN 5 THEN 'missing' WHEN 100 THEN 'bomb' WHEN 101 THEN 'loop' ELSE 'task_completion' END},
	user_id => q{CASE n WHEN 7 THEN '' WHEN 8 THEN 'nobody' WHEN 9 THEN repeat('x', 100000) ELSE 'person ' || n END},
	result => q{CASE WHEN n BETWEEN 100 AND 101 THEN jsonb_build_object('filler', repeat('x', 1000),
		'rows', (SELECT jsonb_agg(row) FROM generate_series(1, 2000) AS row)) END});
$node->wait_for($nothing_due);
is(poisoned('task'), "7 skipped no_user\n8 skipped unknown_user\n9 skipped unknown_user", 'tasks that nobody can be found for harm themselves alone');
like(causes('task', 5), qr/"missing"/, 'a template that does not exist is replaced, and an event says so');
like(causes('task', 100), qr/template "bomb": .*output is too large/, 'so is one whose mail grows without end');
like(causes('task', 101), qr/template "loop": .*nested too deeply/, 'and one that contains itself');

# ---- A user who takes too long ----

$node->sql(
	q{
	SET ROLE app_owner;
	CREATE TABLE app.delay (user_id text PRIMARY KEY, seconds float8);
	CREATE VIEW app.slow_recipients AS
		SELECT user_id, CASE WHEN seconds IS NULL THEN email ELSE (SELECT email FROM pg_sleep(seconds)) END AS email
		FROM app.recipients LEFT JOIN app.delay USING (user_id);
	INSERT INTO app.delay VALUES ('person 30', 600);
});
$node->reconfigure(recipients => 'app.slow_recipients');
report_batch('slow');
$node->wait_for($nothing_due);
is(poisoned('slow'), '30 failed recipients_error', 'a user who can\'t be looked up in time harms his own mail');
is(causes('slow', 30), join(' | ', ('reading recipients takes longer than 10000 ms') x 2), 'and the reason is named, once for each attempt');

# If look-ups take too long for every user, the queue waits.
$node->wait_for_state($node->report(user_id => 'person 1', organization_id => undef), 'sent');
$node->sql(q{INSERT INTO app.delay SELECT id, 600 FROM app.person ON CONFLICT DO NOTHING});
report_batch('all slow');
$node->wait_for(q{SELECT count(*) = 1 FROM rhesis_notify.task_notifications WHERE task_id ~ '^all slow ' AND attempts = 1});
$node->wait_for(q{SELECT state = 'waiting for recipients' AND last_error ~ 'takes longer' FROM rhesis_notify.worker_status});
is($node->sql(q{SELECT sum(attempts) || ' ' || count(*) FROM rhesis_notify.task_notifications WHERE task_id ~ '^all slow ' AND delivery_status IN ('pending', 'deferred')}),
	"1 $batch", 'when it is everybody, one row counts an attempt, and all wait');
$node->sql('TRUNCATE app.delay');
$node->wait_for($nothing_due);
is(poisoned('all slow'), '', 'each of them is mailed when that is mended');
$node->reconfigure(recipients => 'app.recipients');

# If the key has another type, a user id that is not valid for this type belongs to no user.
$node->sql(q{
	SET ROLE app_owner;
	CREATE TABLE app.member (user_id bigint PRIMARY KEY, email text);
	INSERT INTO app.member SELECT n, 'member@example.com' FROM generate_series(1, 200) AS n;
});
$node->reconfigure(recipients => 'app.member');
report_batch('key', user_id => q{CASE n WHEN 1 THEN 'one' WHEN 2 THEN '99999999999999999999' WHEN 3 THEN '3; DROP TABLE app.member'
	WHEN 4 THEN ' ' WHEN 5 THEN 'NaN' ELSE n::text END});
$node->wait_for($nothing_due);
is(poisoned('key'), join("\n", map { "$_ skipped unknown_user" } 1 .. 5), 'a user id that can\'t be cast belongs to nobody');
$node->reconfigure(recipients => 'app.recipients');

# ---- The application's schema ----

my $waiting = q{SELECT count(*) = 1 FROM rhesis_notify.worker_status WHERE state = 'waiting for recipients' AND last_error ~ };

# [what, how it is broken, the text in worker_status and the log, how it is repaired]
my @faults = (
	[ 'a dropped table', 'DROP TABLE app.member', 'relation "app.member" does not exist',
		q{CREATE TABLE app.member AS SELECT user_id, email FROM app.recipients; ALTER TABLE app.member ADD PRIMARY KEY (user_id)} ],
	[ 'a renamed column', 'ALTER TABLE app.member RENAME email TO address', 'column "email" (?:of relation "app.member" )?does not exist|has no column "?email',
		'ALTER TABLE app.member RENAME address TO email' ],
	[ 'a renamed relation', 'ALTER TABLE app.member RENAME TO members', 'relation "app.member" does not exist',
		'ALTER TABLE app.members RENAME TO member' ],
	[ 'a revoked privilege', 'REVOKE SELECT ON app.member FROM app_owner', 'permission denied for table member',
		'GRANT SELECT ON app.member TO app_owner' ],
	[ 'row security that hides recipients', 'ALTER TABLE app.member ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', 'row-level security',
		'ALTER TABLE app.member DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY' ],
	[ 'a view that fails for everybody', q{ALTER TABLE app.member RENAME TO kept; CREATE VIEW app.member AS SELECT user_id, (email::int / 0)::text AS email FROM app.kept},
		'invalid input syntax for type integer', 'DROP VIEW app.member; ALTER TABLE app.kept RENAME TO member' ],);

$node->sql("SET ROLE app_owner; DROP TABLE app.member; $faults[0][3]");
$node->reconfigure(recipients => 'app.member');
foreach my $fault (@faults)
{
	my ($what, $broken, $said, $mended) = @$fault;
	my $offset = -s $node->logfile;

	$node->wait_for($idle);
	$node->sql("SET ROLE app_owner; $broken");
	report_batch($what);
	$node->wait_for("$waiting '$said'");
	is( $node->sql(qq{SELECT count(*) FROM rhesis_notify.task_notifications WHERE task_id ~ '^$what ' AND delivery_status IN ('pending', 'deferred')
			AND attempts = 0 AND coalesce(delivery_reason, 'recipients_error') = 'recipients_error'}),
		$batch, "$what: every row waits");
	like($node->log($offset), qr/WARNING:  notifications wait: recipients cannot be read: .*(?:$said)/, 'the log says why');
	$node->sql("SET ROLE app_owner; $mended");
	$node->wait_for($nothing_due);
	is(poisoned($what), '', 'each row is mailed when it is mended');
	is(scalar(() = $node->log($offset) =~ /notifications wait/g), 1, 'that was said once');
}

my %ids = map { $_->raw_header('Message-ID') => 1 } $peer->mails;
is(scalar(keys %ids), $peer->mail_count, 'nobody was mailed twice');
$node->wait_for($idle);
pass('in the end the worker has nothing to do');

$node->stop;
done_testing();

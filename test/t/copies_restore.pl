# A restored dump is a copy, however it is restored. Nothing is mailed or decided, neither during
# the restore nor after it, until adopt_database() is called. Then the waiting mails are sent once,
# with the restored templates.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster qw($JANE $ACME);
use RhesisNotify::Peer;
use Test::More;

my $peer = RhesisNotify::Peer->start;
# The relation with the recipients is restored last, because its schema sorts after rhesis_notify,
# and it is small.
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, bare => 1,
	settings => { 'server.max_worker_processes' => 24, recipients => 'zz.people' });
my $tables = 'rhesis_notify.task_notifications';
my $queue = "SELECT jsonb_agg(to_jsonb(n) ORDER BY id) FROM $tables AS n";
my $events = 'SELECT count(*) FROM rhesis_notify.delivery_events';
my $triggers = q{SELECT string_agg(format('%s %s %s', tgrelid::regclass, tgname, tgenabled), ', ' ORDER BY tgrelid::regclass::text, tgname)
	FROM pg_trigger WHERE tgrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'rhesis_notify'::regnamespace) AND NOT tgisinternal};
my @waiting = qw(deferred pending sending);
my ($dumps, $restores) = (0, 0);

# ---- The original: a queue in every state, with everything that users can write, paused during the
# dumps ----

sub create_original
{
	my ($database, $version) = @_;

	$node->sql("CREATE DATABASE $database");
	$node->sql('CREATE EXTENSION rhesis_notify' . ($version ? " VERSION '$version'" : ''), $database);
	$node->sql(qq{
		CREATE SCHEMA zz;
		CREATE TABLE zz.people (user_id text PRIMARY KEY, email text, organization_id text);
		INSERT INTO zz.people VALUES ('$JANE', 'jane\@example.com', '$ACME');
		SELECT rhesis_notify.pause();
		ALTER DATABASE $database SET rhesis_notify.smtp_host = ''}, $database);
	# Without a mail server, the worker of the original decides nothing meanwhile.
	$node->wait_for(q{SELECT state = 'mail off' FROM rhesis_notify.worker_status WHERE database = current_database()}, $database);
	$node->customise($database);
	$node->sql("UPDATE $tables SET next_attempt_at = created_at WHERE task_id = 'deferred'", $database);
	return;
}

$node->sql('CREATE ROLE app');
create_original('original');
create_original('original_of_1_0', '1.0');
$node->sql("UPDATE $tables SET created_at = created_at - interval '1 hour'", 'original_of_1_0');
# A dump of a queue that is not paused, as most dumps are. No worker may claim the rows of the
# original before the dump.
$node->sql('CREATE DATABASE running TEMPLATE original');
$node->sql(q{DELETE FROM rhesis_notify.database_pause}, 'running');
$node->wait_for(q{SELECT state = 'a copy' FROM rhesis_notify.worker_status WHERE database = current_database()}, 'running');
$node->sql(q{UPDATE rhesis_notify.database_identity SET database_oid = 1}, 'running');

sub create_copy
{
	$node->sql('CREATE DATABASE copy');
	$restores++;
	return;
}

sub dump_of
{
	my ($database, @options) = @_;
	my $file = $node->backup_dir . '/' . ++$dumps . '.dump';

	mkdir $node->backup_dir;
	command_ok([ 'pg_dump', @options, '--file', $file, $node->connstr($database) ], "pg_dump @options $database");
	return $file;
}

sub is_a_copy
{
	my ($database, $how) = @_;

	$node->wait_for(q{SELECT state = 'a copy' FROM rhesis_notify.worker_status WHERE database = current_database()}, $database);
	pass("$how: the worker says that it is a copy");
	return;
}

# Checks that the restored rows wait, and are then sent.
sub waits_and_goes_out
{
	my ($database, $original, $how, $is_paused, $session) = @_;
	$session //= '';
	my $mails = $peer->mail_count;
	my $before = $node->sql($queue, $original);

	is_a_copy($database, $how);
	is($node->sql(q{SELECT value ~ '3 notifications wait' AND advice ~ 'adopt_database\(true\).*adopt_database\(false\)'
		FROM rhesis_notify.health() WHERE check_name = 'copy' AND NOT ok}, $database), 't', "$how: health() says how many wait, and both calls");
	is($node->sql($queue, $database), $before, "$how: no notification has changed");
	is($node->sql($events, $database), $node->sql($events, $original), "$how: nor has one an event");
	is($peer->mail_count, $mails, "$how: nothing was mailed");

	is($node->sql("$session SELECT rhesis_notify.adopt_database(true)", $database), 3, "$how: it is adopted");
	is($node->sql($triggers, $database), $node->sql($triggers, 'original'), "$how: its triggers are as they were");
	if ($is_paused)
	{
		$node->wait_for(q{SELECT state = 'paused' FROM rhesis_notify.worker_status WHERE database = current_database()}, $database);
		pass("$how: a pause that was dumped stays a pause");
		is($peer->mail_count, $mails, "$how: and nothing was mailed");
		is($node->sql("$session SELECT rhesis_notify.resume()", $database), 't', "$how: until resume()");
	}
	$node->wait_for("SELECT count(*) = 3 FROM $tables WHERE delivery_status = 'sent' AND task_id IN ('deferred', 'pending', 'sending')", $database);
	$peer->wait_for_mails($mails + 3);
	my @new = ($peer->mails)[ $mails .. $peer->mail_count - 1 ];
	is(scalar(@new), 3, "$how: what waited went out once");
	is_deeply([ map { $_->header('Subject') } @new ], [ ('Export: success') x 3 ], "$how: as it was customised");
	is($node->sql("SELECT string_agg(task_id, ' ' ORDER BY task_id) FROM $tables WHERE delivery_status::text = task_id", $database),
		'cancelled failed held sent skipped', "$how: nothing else has changed");
	is($node->sql(q{SELECT ok FROM rhesis_notify.health() WHERE check_name = 'copy'}, $database), 't', "$how: health() has nothing to say");
	$node->wait_for_state($node->report(database => $database), 'sent', $database);
	pass("$how: what is reported there is mailed");
	$node->sql("DROP DATABASE $database WITH (FORCE)");
	return;
}

# ---- Ways to restore ----

create_copy();
command_ok([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', dump_of('original'), $node->connstr('copy') ], 'psql');
waits_and_goes_out('copy', 'original', 'a plain dump', 1);

create_copy();
command_ok([ 'pg_restore', '--exit-on-error', '--dbname', $node->connstr('copy'), dump_of('original', '-Fc') ], 'pg_restore');
waits_and_goes_out('copy', 'original', 'pg_restore', 1);

# Without a pause, nothing keeps the copy from mailing except that it knows that it is a copy.
my $running = dump_of('running', '-Fc');
create_copy();
command_ok([ 'pg_restore', '--exit-on-error', '-j', '2', '--dbname', $node->connstr('copy'), $running ], 'pg_restore -j 2');
waits_and_goes_out('copy', 'running', 'pg_restore -j 2', 0);

create_copy();
$node->sql('CREATE EXTENSION rhesis_notify', 'copy');
$node->sql('CREATE SCHEMA zz; CREATE TABLE zz.people ()', 'copy');
command_ok([ 'pg_restore', '--exit-on-error', '--clean', '--if-exists', '--dbname', $node->connstr('copy'), $running ], 'pg_restore --clean');
waits_and_goes_out('copy', 'running', 'pg_restore --clean', 0);

my $of_1_0 = dump_of('original_of_1_0', '-Fc');
create_copy();
command_ok([ 'pg_restore', '--exit-on-error', '--dbname', $node->connstr('copy'), $of_1_0 ], 'pg_restore of 1.0');
is($node->sql(q{SELECT extversion <> '1.0' FROM pg_extension WHERE extname = 'rhesis_notify'}, 'copy'), 't', 'a dump of 1.0 is restored into the current version');
waits_and_goes_out('copy', 'original_of_1_0', 'a dump of 1.0', 1);

# ---- Step by step, with a long time between the steps ----

# Restores the entries of pg_restore's list that match, in this order.
sub restore_part
{
	my ($database, $dump, @patterns) = @_;
	my $list = $node->backup_dir . '/list';
	my ($contents) = run_command([ 'pg_restore', '--list', $dump ]);
	my @lines = split /\n/, $contents;

	open(my $handle, '>', $list) or die "could not open $list: $!";
	foreach my $pattern (@patterns)
	{
		print {$handle} map { "$_\n" } grep { /$pattern/ } @lines;
	}
	close $handle;
	command_ok([ 'pg_restore', '--exit-on-error', '--use-list', $list, '--dbname', $node->connstr($database), $dump ], 'restored: ' . join(', ', map { s/\\//gr } @patterns));
	return;
}

# Waits until the worker has examined the queue again.
sub looked
{
	my ($database) = @_;
	my $worker = $node->sql("SELECT pid FROM rhesis_notify.worker_status WHERE database = '$database'", $database);

	$node->sql("SELECT pg_terminate_backend($worker)", $database);
	$node->wait_for("SELECT count(*) = 1 FROM rhesis_notify.worker_status
		WHERE database = current_database() AND pid <> $worker AND state NOT IN ('starting', 'stopping', 'stopped')", $database);
	return;
}

sub goes_step_by_step
{
	my ($original, $dump, $how, $prepared) = @_;
	my $before = $node->sql($queue, $original);

	create_copy();
	if ($prepared)
	{
		# The database is prepared for the restore, as an old migration left it.
		$node->sql(qq{CREATE EXTENSION rhesis_notify; CREATE SCHEMA zz; CREATE TABLE zz.people (user_id text PRIMARY KEY, email text, organization_id text);
			SELECT rhesis_notify.grant_to('app');
			UPDATE rhesis_notify.database_birth SET born = '2020-01-01'}, 'copy');
	}
	else
	{
		restore_part('copy', $dump, 'SCHEMA - zz', 'EXTENSION - rhesis_notify', 'TABLE zz people');
	}
	$node->wait_for(q{SELECT state = 'idle' FROM rhesis_notify.worker_status WHERE database = current_database()}, 'copy');
	restore_part('copy', $dump, 'TABLE DATA rhesis_notify task_notifications');
	looked('copy');
	is_a_copy('copy', "$how: the queue alone");
	is($node->sql($queue, 'copy'), $before, "$how: no notification has changed");
	restore_part('copy', $dump, 'TABLE DATA zz', 'TABLE DATA rhesis_notify database_identity', 'TABLE DATA rhesis_notify (?!database_identity|task_notifications)',
		'SEQUENCE SET', ($prepared ? () : 'CONSTRAINT zz'));
	looked('copy');
	waits_and_goes_out('copy', $original, $how, 0);
	return;
}

goes_step_by_step('running', $running, 'step by step');
goes_step_by_step('running', $running, 'into a prepared database', 1);

# ---- The schema, and then its data without triggers; then ALTER TABLE ... ENABLE TRIGGER ALL ----

my $paused = dump_of('original', '-Fc');
create_copy();
command_ok([ 'pg_restore', '--exit-on-error', '--schema-only', '--dbname', $node->connstr('copy'), $paused ], 'pg_restore --schema-only');
command_ok([ 'pg_restore', '--exit-on-error', '--data-only', '--disable-triggers', '--dbname', $node->connstr('copy'), $paused ], 'pg_restore --data-only');
waits_and_goes_out('copy', 'original', 'pg_restore --disable-triggers', 1);

# ---- A restore in sessions with session_replication_role = replica, so that the application's
# triggers do not fire ----

{
	local $ENV{PGOPTIONS} = '-c session_replication_role=replica';
	create_copy();
	command_ok([ 'pg_restore', '--exit-on-error', '--dbname', $node->connstr('copy'), $paused ], "pg_restore with $ENV{PGOPTIONS}");
}
waits_and_goes_out('copy', 'original', 'sessions of a replica', 1, 'SET session_replication_role = replica;');

# ---- A restore in sections, into a database that mails meanwhile ----

create_copy();
foreach my $section (qw(pre-data data post-data))
{
	command_ok([ 'pg_restore', '--exit-on-error', "--section=$section", '--dbname', $node->connstr('copy'), $running ], "pg_restore --section=$section");
	looked('copy') if $section eq 'pre-data';
}
waits_and_goes_out('copy', 'running', 'section by section', 0);

# ---- Cancelled, and taken back ----

create_copy();
command_ok([ 'pg_restore', '--exit-on-error', '--dbname', $node->connstr('copy'), $running ], 'pg_restore');
is_a_copy('copy', 'to be cancelled');
my $explained = q{SELECT string_agg(concat_ws(': ', step, decision, detail, advice), E'\n') FROM rhesis_notify.explain(%d)};
my $pending = $node->sql("SELECT id FROM $tables WHERE task_id = 'pending'", 'copy');
like($node->sql(sprintf($explained, $pending), 'copy'), qr/^copy: a copy: .*3 notifications wait.*adopt_database\(true\).*adopt_database\(false\)/m, 'explain() says why it waits');
like($node->sql(sprintf($explained, $pending), 'copy'), qr/^next: .*after adopt_database\(true\)/m, 'and for what');
my $sending = $node->sql("SELECT id FROM $tables WHERE task_id = 'sending'", 'copy');
like($node->sql(sprintf($explained, $sending), 'copy'), qr/^copy: a copy.*^next: is sent again, in doubt: after adopt_database\(true\)/ms, 'also of what was being sent');

my $error = $node->sql_error('SELECT rhesis_notify.adopt_database(NULL)', 'copy');
like($error, qr/ERROR:  argument "send_pending" of adopt_database must not be null\nHINT:  Use true to send .* false to cancel/, 'null is no answer');
my $mails = $peer->mail_count;
my ($sent, $message) = ('', '');
$node->psql('copy', q{SELECT rhesis_notify.send_task_completion_email('jane@example.com', 'Jane', 'app.x', '1', 'success')}, stdout => \$sent, stderr => \$message);
is($sent, 'f', 'send_task_completion_email() mails nobody past the queue');
like($message, qr/WARNING:  Failed to send task completion email to jane\@example.com: this database is a copy: .*\nHINT: .*adopt_database\(true\)/, 'and says why');
is($node->sql('SELECT bool_and(ok) FROM rhesis_notify.check_smtp()', 'copy'), 't', 'check_smtp() sends nothing, and works');
is($node->sql("SELECT reason IS NULL AND subject = 'Export: success' FROM rhesis_notify.preview($pending)", 'copy'), 't', 'so does preview()');
is($node->sql('SELECT rhesis_notify.adopt_database(false)', 'copy'), 4, 'what waits is cancelled, and what was held');
is($node->sql("SELECT string_agg(task_id, ' ' ORDER BY task_id) FROM $tables WHERE delivery_status = 'cancelled' AND delivery_reason = 'copied' AND claimed_by IS NULL", 'copy'),
	'deferred held pending sending', 'the reason is copied');
is($node->sql(q{SELECT string_agg(detail ->> 'message', ' / ' ORDER BY notification_id) FROM rhesis_notify.delivery_events WHERE event = 'cancelled'}, 'copy'),
	join(' / ', map { "was $_ in a copy: adopt_database(false)" } 'pending', 'sending', 'deferred', 'held, in_doubt'), 'each has an event');
$node->wait_for_state($node->report(database => 'copy'), 'sent', 'copy');
is($peer->mail_count, $mails + 1, 'new ones are mailed, the others not');
is($node->sql(q{SELECT rhesis_notify.retry_all(now() - interval '1 hour', 'cancelled')}, 'copy'), 5, 'retry_all() takes it back');
$node->wait_for("SELECT count(*) = 5 FROM $tables WHERE delivery_status = 'sent' AND task_id IN ('deferred', 'held', 'pending', 'sending', 'cancelled')", 'copy');
$peer->wait_for_mails($mails + 6);
is($peer->mail_count, $mails + 6, 'then it is mailed');
my ($decided, $notice) = ('', '');
$node->psql('copy', 'SELECT rhesis_notify.adopt_database(false)', stdout => \$decided, stderr => \$notice);
is($decided, 0, 'a database that is itself is not adopted');
like($notice, qr/NOTICE:  nothing is changed: this database is not a copy\nHINT:  .*rhesis_notify\.instance/, 'and a notice says so');
like($node->sql_error(q{SELECT rhesis_notify.retry_all(now(), 'sent')}, 'copy'), qr/ERROR:  notifications that are sent cannot be retried all together\nHINT: .*'cancelled'/,
	'retry_all() takes final states that a mail can be owed for');

# ---- The log ----

my @warnings = $node->log =~ /WARNING:  (rhesis_notify mails nothing in database .*\n.*DETAIL:  .*\n.*HINT:  .*)/g;
my %copies_warned = map { /database "(\w+)"/ => 1 } @warnings;
is_deeply([ sort keys %copies_warned ], [ 'copy', 'running' ], 'the log says which database is a copy');
like($_, qr/HINT:  .*adopt_database\(true\).*adopt_database\(false\)/, 'and names both calls') foreach $warnings[0];
is(scalar(@warnings), 1 + $restores, 'once for each');

# When every slot has served a copy, the next copy gets one of these slots.
foreach my $number (0 .. $node->sql('SHOW max_worker_processes'))
{
	my $offset = -s $node->logfile;

	$node->sql("CREATE DATABASE copy_$number TEMPLATE running");
	$node->wait_for_log(qr/WARNING:  rhesis_notify mails nothing in database "copy_$number"/, $offset);
	$node->sql("DROP DATABASE copy_$number");
}
pass('the log says so about each further copy');

$node->stop;
done_testing();

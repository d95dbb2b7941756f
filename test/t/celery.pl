# examples/celery with a real Celery worker and a real broker, up to the mail on the mail server.
use strict;
use warnings FATAL => 'all';
use utf8;

use Cwd qw(abs_path);
use File::Basename;
use PostgreSQL::Test::Utils;
use RhesisNotify::Celery;
use RhesisNotify::Cluster qw($ACME $GLOBEX $JANE);
use RhesisNotify::Peer;
use Test::More;
use Time::HiRes qw(time);

my $examples = abs_path(dirname(__FILE__) . '/../../examples/celery');
my %owner = (user_id => $JANE, organization_id => $ACME);

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, settings => { 'server.track_commit_timestamp' => 'on' });
$node->sql('CREATE ROLE app LOGIN');
$node->sql(q{SELECT rhesis_notify.grant_to('app')});
$node->sql('CREATE TABLE public.promise (id integer UNIQUE DEFERRABLE INITIALLY DEFERRED); GRANT INSERT ON public.promise TO app');
command_ok([ 'psql', '-X', '-q', '-d', $node->connstr('postgres'), '-v', 'role=app', '-f', "$examples/app.sql" ],
	'the demo has its table');

my $celery = RhesisNotify::Celery->start($node, 'app');
$celery->start_worker('test_tasks', 'celery', '--concurrency', 4);

# Returns a call of this task by Jane.
sub call
{
	my ($task, $args, %options) = @_;
	return { task => $task, args => $args // [], headers => \%owner, %options };
}

sub submit
{
	return $celery->submit('test_tasks', @_);
}

# Waits until $count new mails have arrived and every notification is finished. Returns the mails
# since the last call, in the order in which the mail server accepted them.
my $seen = 0;

sub new_mails
{
	my ($count) = @_;
	$peer->wait_for_mails($seen + $count);
	$node->wait_for(q{SELECT bool_and(finished_at IS NOT NULL) FROM rhesis_notify.task_notifications});
	my @mails = $peer->mails;
	my @new = splice(@mails, $seen);
	$seen += @new;
	return @new;
}

# Returns the notification of a task when its state is final.
sub notification_of
{
	my ($task_id) = @_;
	$node->wait_for("SELECT count(*) = 1 FROM rhesis_notify.task_notifications WHERE task_id = '$task_id' AND finished_at IS NOT NULL");
	return $node->notification($node->sql("SELECT id FROM rhesis_notify.task_notifications WHERE task_id = '$task_id'"));
}

sub result_of
{
	my ($task_id, $key) = @_;
	return $node->sql("SELECT result ->> '$key' FROM rhesis_notify.task_notifications WHERE task_id = '$task_id'");
}

# Were a notification and the task's own row committed together? The two rows have the time of the
# commit as long as the worker has not changed the notification.
sub in_one_transaction
{
	my ($task_id, $test_set) = @_;
	return $node->sql(qq{SELECT pg_xact_commit_timestamp(n.xmin) = pg_xact_commit_timestamp(s.xmin)
		FROM rhesis_notify.task_notifications AS n, public.test_set AS s WHERE n.task_id = '$task_id' AND s.name = '$test_set'}) eq 't';
}

sub ended
{
	my ($task_id, $how) = @_;
	RhesisNotify::Peer::wait_until(sub { $celery->log('celery') =~ /\[\Q$task_id\E\] $how/ }, "task $task_id $how");
	return;
}

# ---- A success, a failure, retries ----

$node->sql('SELECT rhesis_notify.pause()');
submit(call('demo.generate_test_set', [ 'Safety & Tone', 50 ], task_id => 'success'));
ended('success', 'succeeded');
ok(in_one_transaction('success', 'Safety & Tone'), 'the row is written in the task\'s own transaction');
$node->sql('SELECT rhesis_notify.resume()');
my ($mail) = new_mails(1);
is($mail->header('Subject'), 'Task Complete: Generate Test Set - Success', 'a success is mailed, with the subject of the decorator');
is($mail->header('To'), 'Jane Doe <jane@example.com>', '... to who submitted it');
like($mail->text, qr/Task ID: success\n.*Execution Time: \d+s\n.*Tests Generated: 50/s, '... with what the task returned');
my $test_set = $node->sql(q{SELECT id FROM public.test_set WHERE name = 'Safety & Tone'});
like($mail->text, qr{/test-sets/\Q$test_set\E}, '... and the link to it');
my $row = notification_of('success');
is($row->{organization_id}, $ACME, 'the row has the tenant');

submit(call('demo.generate_test_set', [ 'Too Large', 5000 ], task_id => 'failure'));
($mail) = new_mails(1);
is($mail->header('Subject'), 'Task Complete: Generate Test Set - Failed', 'a permanent failure is mailed');
like($mail->text, qr/ValueError: 5000 tests are too many/, '... with the error');
is($node->sql(q{SELECT count(*) FROM public.test_set WHERE name = 'Too Large'}), 0, '... and the task has left nothing else');

submit(call('demo.check_endpoint', [9], task_id => 'retried in vain'));
($mail) = new_mails(1);
like($mail->text, qr/ConnectionError: the endpoint does not answer/, 'a task that was retried in vain is mailed');
is(scalar(() = $celery->log('celery') =~ /\[retried in vain\] retry/g), 2, '... after two retries');

submit(call('demo.check_endpoint', [3], task_id => 'retried'));
($mail) = new_mails(1);
is($mail->header('Subject'), 'Task Completed: Check Endpoint - Success', 'a retry that succeeds is mailed as a success');
is(scalar(() = $celery->log('celery') =~ /\[retried\] retry/g), 2, '... after two retries');
is($mail->header('To'), 'Jane Doe <jane@example.com>', '... to who submitted it, whose headers a retry keeps');

submit(
	call('test.retries_itself', [2], task_id => 'automatically retried'),
	call('test.retries_itself', [9], task_id => 'automatically retried in vain'));
new_mails(2);
is(notification_of('automatically retried')->{status}, 'success', 'a base of one\'s own, with autoretry_for: a retry that succeeds is a success');
is($node->sql(q{SELECT count(*) FROM public.test_set WHERE name = 'automatically retried'}), 1, '... and what the failed run wrote is rolled back');
is(notification_of('automatically retried in vain')->{error_message}, 'ValueError: run 3 is not good', '... and of a failure the last run\'s error is told');
is(scalar(() = $celery->log('celery') =~ /own on_failure of automatically retried/g), 1, '... with the base\'s own on_failure, once');

# ---- The examples in the original's documentation ----

submit(
	call('your.user.facing.task', ['params'], task_id => 'user facing'),
	call('your.background.task', ['params'], task_id => 'background'),
	{ task => 'your.legacy.task', args => ['params'], kwargs => \%owner, task_id => 'legacy in a session' },
	call('original_tasks.test_task', [], task_id => 'more variables'),
	call('your.parallel.task', [ 1, 2, 3 ]));
my %original = map { $_->header('Subject') => $_->text } new_mails(4);
is_deeply(
	[ sort keys %original ],
	[
		'Task Complete: your.user.facing.task - Success',
		'Task Completed: original_tasks.collect_results_task - 2 of 10 tests failed',
		'Task Completed: your.legacy.task - Success',
		'Test Execution Complete: API Tests - Success',
	],
	'the tasks of the original\'s documentation are mailed as they are');
like($original{'Task Complete: your.user.facing.task - Success'}, qr{/test-runs/optional-for-links\n}, '... with the link to the results');
like($original{'Task Completed: original_tasks.collect_results_task - 2 of 10 tests failed'}, qr/Passed: 8 \| Failed: 2 \| Total: 10/, '... the chord\'s callback with the summary');
like($original{'Test Execution Complete: API Tests - Success'}, qr/Project: My Project/, '... and with the variables that a task returns');
is(notification_of('legacy in a session')->{template}, 'task_completion', 'the legacy base takes the template task_completion');
is(notification_of('background')->{delivery_reason}, 'silent_task', 'and the task without decorator is silent');

# ---- Durations ----

# Returns started_at and completed_at of the task's row, in seconds after $since.
sub run_of
{
	my ($task_id, $since) = @_;
	return map { $_ - $since } split /\|/, $node->sql(
		"SELECT extract(epoch FROM started_at), extract(epoch FROM completed_at) FROM rhesis_notify.task_notifications WHERE task_id = '$task_id'");
}

my $submitted = time;
submit(
	call('test.takes_in_transaction', [1.5], task_id => 'takes a second'),
	call('test.takes', [[ 3, 1.5 ]], task_id => 'takes three seconds, then one'));
my %text = map { $_->text =~ /Task ID: (.*)/ ? ($1 => $_->text) : () } new_mails(2);
my $ended = time;
foreach my $task_id ('takes a second', 'takes three seconds, then one')
{
	my ($started_at, $completed_at) = run_of($task_id, $submitted);
	my $earliest = $task_id =~ /three/ ? 3 : 0;

	cmp_ok($started_at, '>=', $earliest, "$task_id: it began after it was submitted, and after the runs before its last one");
	cmp_ok($completed_at - $started_at, '>=', 1.5, '... it took as long as its last run');
	cmp_ok($completed_at, '<=', $ended - $submitted, '... it was over before it was mailed');
	my $seconds = int($completed_at - $started_at);
	like($text{$task_id}, qr/Execution Time: ${seconds}s\n/, '... which is in the mail');
}

# ---- Bases, decorators, owners ----

$node->sql(q{SELECT rhesis_notify.email_notification('registered', display_name => 'Registered in SQL')});
my @ids = submit(
	{ task => 'demo.export', kwargs => \%owner, task_id => 'legacy' },
	call('test.below', [], task_id => 'below'),
	call('test.shared', [], task_id => 'shared'),
	{ task => 'test.takes_owner', kwargs => \%owner, task_id => 'takes owner' },
	call('test.tenant', [], task_id => 'tenant'),
	call('test.registered', [], task_id => 'registered'),
	call('test.undecorated', [], task_id => 'undecorated'),
	call('demo.execute_test', [1], task_id => 'silent'),
	call('test.parent', [], task_id => 'parent'),
	{ task => 'demo.generate_test_set', args => [ 'Nobody', 1 ], task_id => 'nobody' },
	call('demo.generate_test_set', [ 'Foreign', 1 ], headers => { user_id => $JANE, organization_id => $GLOBEX }, task_id => 'foreign'));
my %subjects = map { ($_->text =~ /Task ID: (.*)/)[0] =~ s/^[0-9a-f-]{36}$/child/r => $_->header('Subject') } new_mails(8);
is_deeply(
	\%subjects,
	{
		'legacy' => 'Task Completed: demo.export - Success',
		'below' => 'Below: success',
		'shared' => 'Shared: success',
		'takes owner' => 'Task Completed: test.takes_owner - Success',
		'tenant' => 'Task Completed: test.tenant - Success',
		'registered' => 'Task Completed: Registered in SQL - Success',
		'parent' => 'Task Completed: test.parent - Success',
		'child' => 'Task Completed: Registered in SQL - Success',
	},
	'decorators in either order, the legacy base, registrations, and a child of its parent\'s owner');
is(result_of('takes owner', 'test_set_name'), "$JANE of $ACME", 'a task that takes its owner as arguments gets it');
is(result_of('tenant', $_), "$JANE of $ACME", "a task has its tenant in its session, $_") foreach qw(test_set_name test_set_id);
is(notification_of('undecorated')->{delivery_reason}, 'silent_task', 'a task without decorator is not mailed');
is(notification_of('nobody')->{delivery_reason}, 'no_user', 'nor is one without an owner');
is(notification_of('foreign')->{delivery_reason}, 'wrong_organization', 'nor one that names another organization than its user\'s');
ended('silent', 'succeeded');
is($node->sql(q{SELECT count(*) FROM rhesis_notify.task_notifications WHERE task_id = 'silent'}), 0, 'a SilentTask writes no row');
is($celery->program('-c', 'import test_tasks; print(test_tasks.REFUSAL)'), "task test.plain cannot be mailed without base=BaseTask\n",
	'a decorated task of another base is refused at once');

submit(call('test.replaced', [], task_id => 'replaced'));
($mail) = new_mails(1);
is(notification_of('replaced')->{task_name}, 'test.registered', 'a task that is replaced reports what has replaced it');

submit(call('test.rejected', [], task_id => 'rejected'), call('test.hangs_early', [], task_id => 'revoked'));
$celery->hanging('revoked');
$celery->program('-c', 'import test_tasks; test_tasks.app.control.revoke("revoked", terminate=True, signal="KILL")');
RhesisNotify::Peer::wait_until(sub { $celery->log('celery') =~ /Terminating revoked \(|exited with .*SIGKILL/ }, 'the task is revoked');

# ---- Transactions of the task ----

$node->sql('SELECT rhesis_notify.pause()');
submit(
	call('test.own_session', ['commit'], task_id => 'own session'),
	call('test.own_session', ['raise'], task_id => 'own session, rolled back'),
	call('test.own_connection', [], task_id => 'own connection'),
	call('test.fails_at_commit', [], task_id => 'fails at commit'));
ended($_, 'succeeded') foreach 'own session', 'own connection';
ok(in_one_transaction($_, $_), "$_: what is handed over is used") foreach 'own session', 'own connection';
$node->sql('SELECT rhesis_notify.resume()');
new_mails(4);
is(notification_of($_)->{status}, 'success', "$_: reported") foreach 'own session', 'own connection';
$row = notification_of('own session, rolled back');
is($row->{status}, 'failed', 'a task that fails after its report is a failure');
is($row->{error_message}, 'RuntimeError: after the report', '... with its error');
like(notification_of('fails at commit')->{error_message}, qr/^IntegrityError: .*promise_id_key/, 'a commit that fails is a failure');

submit(call('test.cannot_be_reported', [], task_id => 'cannot be reported'));
ended('cannot be reported', 'succeeded');
is($node->sql(q{SELECT count(*) FROM public.test_set WHERE name = 'cannot be reported'}), 1, 'a row that is refused does not fail the task, nor its transaction');
like($celery->log('celery'), qr/Could not report task test\.cannot_be_reported\[cannot be reported\]: IntegrityError: .*subject_template_has/, '... and is logged');
unlike($celery->log('celery'), qr/Could not report .*not for the log/, '... without what is in it');

# ---- Unusual results and errors ----

my @kinds = ('a list', 'a text', 'a number', 'an object', 'bytes', 'known types', 'nul', 'surrogates', 'one bad item each', 'many items');
my @errors = qw(nul huge empty rude);
submit(
	(map { call('test.returns', [$_], task_id => "returns $_") } @kinds),
	(map { call('test.returns_in_transaction', [$_], task_id => "in transaction $_") } @kinds),
	(map { call('test.raises', [$_], task_id => "raises $_") } @errors));
new_mails(2 * @kinds + @errors);
foreach my $how ('returns', 'in transaction')
{
	is(notification_of("$how $_")->{status}, 'success', "$how $_") foreach @kinds;
	is($node->sql("SELECT result FROM rhesis_notify.task_notifications WHERE task_id = '$how a list'"), '', 'what is no object is left out');
	is(result_of("$how known types", 'test_run_id'), '00000000-0000-0000-0000-000000000001', 'a uuid is written as a text');
	is(result_of("$how known types", '7'), 'true', 'and so is a key that is a number');
	is(result_of("$how nul", 'test_set_name'), 'ab', 'NUL is left out');
	is(result_of("$how nul", 'backslash'), q(\\u0000 \\\\u0000 \\), 'the text of its escape is not');
	is(result_of("$how surrogates", 'test_set_name'), 'a?b', 'half a character becomes a question mark');
	is($node->sql("SELECT result FROM rhesis_notify.task_notifications WHERE task_id = '$how one bad item each'"),
		'{"test_set_name": "kept"}', 'an item that can\'t be written costs only itself');
	cmp_ok($node->sql("SELECT length(result::text) FROM rhesis_notify.task_notifications WHERE task_id = '$how many items'"),
		'<', 1_200_000, 'a huge result is cut');
}
is(notification_of('raises nul')->{error_message}, 'ValueError: ab ?', 'an error with NUL');
is(length(notification_of('raises huge')->{error_message}), length('ValueError: ') + 10_000, 'a huge error is cut');
is(notification_of('raises empty')->{error_message}, 'KeyError: ', 'an error without words');
like(notification_of('raises rude')->{error_message}, qr/^ValueError: <ValueError object/, 'an error that can\'t be put into words');

# ---- Killed, and delivered twice ----

# Kills the process in which this task hangs.
sub kill_task
{
	my ($task_id) = @_;
	kill 'KILL', $celery->hanging($task_id);
	return;
}

submit(call('test.hangs', [], task_id => 'killed'));
kill_task('killed');
($mail) = new_mails(1);
is($mail->header('Subject'), 'Task Completed: test.hangs - Success', 'a task whose process was killed runs again, and is mailed once');
is($node->sql(q{SELECT count(*) FROM public.test_set WHERE name = 'killed'}), 1, '... and what it wrote is there once');

submit(call('test.hangs_early', [], task_id => 'killed for good'));
kill_task('killed for good');
($mail) = new_mails(1);
is($mail->header('Subject'), 'Task Completed: test.hangs_early - Failed', 'one that is acknowledged early does not: its owner is told');
like($mail->text, qr/WorkerLostError: .*SIGKILL/, '... why');
like($mail->text, qr/Execution Time: \d+s/, '... and how long it ran');

submit(call('test.too_slow', [], task_id => 'too slow'));
($mail) = new_mails(1);
like($mail->text, qr/TimeLimitExceeded: .*1/, 'one that is killed at its hard time limit: its owner is told');

submit(call('test.hangs_at_the_end', [], task_id => 'delivered twice'));
kill_task('delivered twice');
ended('delivered twice', 'succeeded');
($mail) = new_mails(1);
like($mail->text, qr/Task ID: delivered twice/, 'one that is killed after its commit runs again, and is mailed once');

submit(map { call('demo.generate_test_set', [ 'Twice', $_ ], task_id => 'submitted twice') } 1 .. 4);
RhesisNotify::Peer::wait_until(sub { 4 == (() = $celery->log('celery') =~ /\[submitted twice\] succeeded/g) }, 'it has run four times');
new_mails(1);

# Kills the whole worker. If a task is not acknowledged for some time, the broker gives it to
# another worker.
$celery->start_worker('test_tasks', 'fragile', '--concurrency', 1);
submit(call('test.hangs', [], task_id => 'worker killed', queue => 'fragile'));
my $pool_process = $celery->hanging('worker killed');
$celery->stop_worker('fragile', 'KILL');
kill 'KILL', $pool_process;
$celery->environment(VISIBILITY_TIMEOUT => 0);
$celery->start_worker('test_tasks', 'fragile', '--concurrency', 1);
($mail) = new_mails(1);
like($mail->text, qr/Task ID: worker killed/, 'a task of a worker that was killed as a whole is mailed once, by the next worker');
$celery->stop_worker('fragile');

# ---- The database cannot be reached ----

submit(call('test.hangs_early', [], task_id => 'unreported'));
my $process = $celery->hanging('unreported');
$node->stop('fast');
kill 'KILL', $process;
RhesisNotify::Peer::wait_until(sub { $celery->log('celery') =~ /Could not report task test\.hangs_early\[unreported\]: OperationalError/ }, 'the log has it');
submit(call('demo.export', [], task_id => 'while away'));
ended('while away', 'succeeded');
pass('a task that can\'t be reported succeeds');
$node->start;
submit(call('demo.export', [], task_id => 'back again'));
($mail) = new_mails(1);
like($mail->text, qr/Task ID: back again/, 'and is reported when the database is back, through a new connection');

# ---- Many tasks ----

my $start = time;
submit(map { call('demo.generate_test_set', [ "Set $_", $_ ], task_id => "many $_") } 1 .. 500);
my %mailed;
$mailed{ $_->text =~ s/.*Task ID: (.*?)\n.*/$1/sr }++ foreach new_mails(500);
note(sprintf('500 tasks at once: all mailed after %.1f s', time - $start));
is_deeply(\%mailed, { map { ("many $_" => 1) } 1 .. 500 }, '500 tasks at once: each is mailed once');

submit(call('demo.execute_test_configuration', [ 'API Tests', 50 ]));
($mail) = new_mails(1);
is($mail->header('Subject'), 'Test Execution Complete: API Tests - 10 of 50 tests failed', 'a chord of 50: its callback is mailed');
like($mail->text, qr/Passed: 40 \| Failed: 10 \| Total: 50/, '... with the summary');
is($mail->header('To'), 'Jane Doe <jane@example.com>', '... to who submitted what started it');

submit(call('demo.execute_test_configuration', [ 'API Tests', 50, 7 ]));
($mail) = new_mails(1);
like($mail->text, qr/ChordError: .*test 7 broke off.*Task Name: Test Execution Summary/s, 'a chord of which one task fails: one mail says so');
unlike($mail->text, qr/Execution Time/, '... and no execution time, since its callback never ran');

$celery->program('-c', <<"PYTHON");
from demo_app import chord, collect_results, execute_test, report_failure

for broken in (None, 3):
    callback = collect_results.s(test_set_name=f"broken: {broken}").on_error(report_failure.s())
    chord(execute_test.s(number, broken) for number in range(5))(callback, headers={"user_id": "$JANE", "organization_id": "$ACME"})
PYTHON
is_deeply(
	[ sort map { $_->header('Subject') } new_mails(2) ],
	[ 'Task Completed: Test Execution Summary - Failed', 'Test Execution Complete: broken: None - 1 of 5 tests failed' ],
	'a chord that no task starts is told its owner');

is($peer->mail_count, $seen, 'there is no mail but these');
is($node->sql(q{SELECT count(*) FROM rhesis_notify.task_notifications WHERE task_name IN ('demo.execute_test', 'demo.execute_test_configuration')}), 0,
	'the silent tasks have written no row');
is($node->sql(q{SELECT count(*) FROM rhesis_notify.task_notifications WHERE task_id IN ('rejected', 'revoked')}), 0,
	'nor have one that was rejected and one that was revoked');

# ---- The demo, and the old method beside the new one ----

$celery->environment(DEMO_USER => $JANE, DEMO_ORGANIZATION => $ACME);
is_deeply(
	[ sort split /\n/, $celery->program("$examples/submit.py") =~ s/queued as \d+/queued as .../gr ],
	[
		'check_endpoint     failed   sent     250 2.0.0 Ok: queued as ...',
		'check_endpoint     success  sent     250 2.0.0 Ok: queued as ...',
		'collect_results    success  sent     250 2.0.0 Ok: queued as ...',
		'export             success  sent     250 2.0.0 Ok: queued as ...',
		'generate_test_set  failed   sent     250 2.0.0 Ok: queued as ...',
		'generate_test_set  success  sent     250 2.0.0 Ok: queued as ...',
	],
	'the demo shows what became of its mails');
$seen += 6;
$celery->stop_worker('celery');

$celery->environment(
	SMTP_HOST => 'localhost',
	SMTP_PORT => $peer->port,
	SMTP_USER => $peer->user,
	SMTP_PASSWORD => $peer->password,
	SMTP_CA_FILE => RhesisNotify::Peer::certificates() . '/ca.pem',
	FROM_EMAIL => 'noreply@rhesis.example');
$node->sql('GRANT SELECT ON public."user" TO app');
my %call = (before => { args => [ 'Safety', 50, $JANE ] }, after => { args => [ 'Safety', 50 ], headers => \%owner });
foreach my $way (qw(before after))
{
	$celery->start_worker($way, $way, '--pool', 'solo');
	$celery->submit($way, { task => "$way.generate_test_set", queue => $way, %{ $call{$way} } });
	($mail) = new_mails(1);
	is($mail->header('Subject'), 'Task Complete: Generate Test Set - Success', "the README's task is mailed, $way");
	$celery->stop_worker($way);
}

$celery->stop;
$node->stop;
$peer->stop;
done_testing();

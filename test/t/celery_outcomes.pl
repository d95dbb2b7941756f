# Outcomes that Celery records wrongly, or not at all: each is one row that says what happened.
# There is a result backend beside the broker, which is stopped for some tests, and the
# application's own engine. Nothing is mailed here.
use strict;
use warnings FATAL => 'all';
use utf8;

use Cwd qw(abs_path);
use File::Basename;
use PostgreSQL::Test::Utils;
use RhesisNotify::Celery;
use RhesisNotify::Cluster qw($ACME $JANE);
use RhesisNotify::Peer;
use Test::More;

my $examples = abs_path(dirname(__FILE__) . '/../../examples/celery');
my $project = 'c0000000-0000-4000-8000-000000000001';
my %tenant = (user_id => $JANE, organization_id => $ACME, project_id => $project);

my $node = RhesisNotify::Cluster->serve('main');
$node->sql('CREATE ROLE app LOGIN');
$node->sql(q{SELECT rhesis_notify.grant_to('app')});
command_ok([ 'psql', '-X', '-q', '-d', $node->connstr('postgres'), '-v', 'role=app', '-f', "$examples/app.sql" ],
	'the application has its table');

my $celery = RhesisNotify::Celery->start($node, 'app');
$celery->environment(CELERY_RESULT_BACKEND => $celery->start_redis('backend'));
diag('with ' . $celery->{driver});
$celery->start_worker('outcome_tasks', 'celery', '--concurrency', 2);

sub call
{
	my ($task, $args, %options) = @_;
	return { task => "test.$task", args => $args // [], task_id => $task, headers => \%tenant, %options };
}

sub submit
{
	return $celery->submit('outcome_tasks', @_);
}

sub column
{
	my ($task_id, $column) = @_;
	return $node->sql("SELECT $column FROM rhesis_notify.task_notifications WHERE task_id = '$task_id'");
}

# Waits until a task is reported. Returns its status, with its error or with the name that it
# returned.
sub outcome
{
	my ($task_id) = @_;
	$node->wait_for("SELECT count(*) = 1 FROM rhesis_notify.task_notifications WHERE task_id = '$task_id'");
	return column($task_id, q{concat_ws(': ', status, coalesce(error_message, result ->> 'test_set_name'))});
}

# Waits until the worker's log shows that this task ended in this way.
sub ended
{
	my ($task_id, $how, $count) = @_;
	$how //= '(?:succeeded|raised|retry)';
	RhesisNotify::Peer::wait_until(sub { ($count // 1) <= (() = $celery->log('celery') =~ /\[\Q$task_id\E\] $how/g) }, "$task_id $how");
	return;
}

# ---- Transactions ----

my @transactions = qw(swallows_integrity_error swallows_in_savepoint rolls_back_itself own_session_swallows reports_then_rolls_back
  own_session_rolls_back own_session_is_not_committed own_connection_rolls_back);
submit((map { call($_) } @transactions), call('silent_swallows'));
my $lost = 'failed: RuntimeError: the transaction was rolled back: an error in it was caught, without a savepoint around what failed';
is(outcome('swallows_integrity_error'), $lost, 'a task that catches an IntegrityError, whose transaction so is rolled back, has failed');
is($node->sql('SELECT count(*) FROM public.test_set'), 0, '... and its work is not there');
is(outcome('swallows_in_savepoint'), 'success: fine', 'one that does so in a savepoint has not');
is(outcome('rolls_back_itself'), 'success: fine', '... nor one that rolls back and goes on');
is(outcome('own_session_swallows'), $lost, 'one with a session of its own that reports in such a transaction has failed');
ended('silent_swallows', 'raised');
pass('... and so has a silent one, which writes no row');
is(outcome($_), 'success: reported', "$_: reported once, with what it has told") foreach @transactions[ 4 .. 7 ];

# ---- Exceptions ----

submit(map { call($_) } qw(raises_unpicklable raises_unpicklable_value_error text_alone too_slow_softly));
is(outcome('raises_unpicklable'), 'failed: Unpicklable: cannot be pickled', 'an exception that pickle can\'t carry: its own name and text');
is(outcome('raises_unpicklable_value_error'), 'failed: UnpicklableValueError: 7: cannot be pickled', '... not those of its base');
is(outcome('text_alone'), 'failed: the text alone', 'a base can say how an error is told');
like(outcome('too_slow_softly'), qr/^failed: SoftTimeLimitExceeded/, 'a task at its soft time limit');

# ---- Retries ----

submit(map { call($_) } qw(retries_without_throw retries_without_throw_in_session swallows_retry retries_and_raises));
is(outcome('retries_without_throw'), 'failed: ValueError: in vain', 'retry(throw=False): nothing is reported until the last run');
is(outcome('retries_without_throw_in_session'), 'failed: ValueError: in vain', '... nor in a session');
is(outcome('swallows_retry'), 'success: run 3', 'a task that catches Retry: the last run counts');
is(outcome('retries_and_raises'), 'success: run 3', 'a task that raises after retry(throw=False): the last run counts');

# ---- States that tasks set themselves ----

submit(map { call($_) } qw(sets_failure sets_progress ignored cannot_be_encoded));
is(outcome('sets_failure'), 'failed: OwnError: set by hand', 'update_state(FAILURE) and Ignore is a failure');
is(outcome('sets_progress'), 'success: done', 'update_state(PROGRESS) is no end');
like(outcome('cannot_be_encoded'), qr/^failed: EncodeError/, 'a result that Celery can\'t store fails the task, for Celery and for its owner');

# ---- Bases of the application ----

submit(
	(map { my $base = $_; map { call($base, [$_], task_id => "$base $_") } 0, 1 } qw(tells_nobody fragile in_a_context)),
	call('own_request_is_killed'), call('of_a_class', [7]));
foreach my $base (qw(tells_nobody fragile in_a_context))
{
	is(outcome("$base 0"), 'success', "$base: a success is reported");
	is(outcome("$base 1"), 'failed: ValueError: my own words', "$base: a failure is reported");
}
isnt(column('tells_nobody 0', 'started_at'), '', '... with its start');
like(outcome('own_request_is_killed'), qr/^failed: WorkerLostError/, 'a killed process is reported by a base that has a Request of its own');
is(outcome('of_a_class'), 'success: number 7', 'a task that is a class');

# ---- Tasks that call tasks ----

submit(
	call('calls_itself', [2]), call('calls_itself_and_fails', [1]), call('unbound', ['first']), call('calls_another'), call('shows_tenant'));
is(outcome('calls_itself'), 'success: depth 2', 'a task that calls itself is reported with what the outer one returns');
is(outcome('calls_itself_and_fails'), 'failed: ValueError: after the call', '... and fails after the inner one has succeeded');
is(outcome('unbound'), 'success: first', 'a task without bind=True has its session');
is(column('unbound', q{result ->> 'test_set_id'}), $JANE, '... and its tenant');
is(outcome('shows_tenant'), "success: $JANE $project", 'a session has the setting that the application has added');
is(outcome('calls_another'), "success: of $JANE $project", 'a task that is called as a function has its caller\'s tenant');
is($node->sql(q{SELECT count(*) FROM rhesis_notify.task_notifications WHERE task_name = 'test.shows_tenant'}), 1, '... and reports nothing of its own');

$celery->program('-c', <<"PYTHON");
from outcome_tasks import *

tenant = dict(user_id="$JANE", organization_id="$ACME", project_id="$project")
(foreign.s() | foreign.s() | ends_a_chain.s()).apply_async(headers=tenant)
mapped.map([1, 2]).apply_async(headers=tenant, task_id="mapped")
mapped.map([1, 13]).apply_async(headers=tenant, task_id="mapped in vain")
mapped.starmap([(1,), (2,)]).apply_async(headers=tenant, task_id="starmapped")
mapped.chunks([(n,) for n in range(4)], 2).apply_async(headers=tenant)
publish.apply_async(headers=tenant, task_id="expired", expires=-1)
PYTHON
$node->wait_for(q{SELECT count(*) = 1 FROM rhesis_notify.task_notifications WHERE task_name = 'test.ends_a_chain'});
is($node->sql(q{SELECT result ->> 'test_set_name' FROM rhesis_notify.task_notifications WHERE task_name = 'test.ends_a_chain'}),
	"$JANE $project", 'the end of a chain has the tenant, through tasks of another base');
is(outcome('mapped'), 'success', 'map is one outcome');
is(outcome('mapped in vain'), 'failed: ValueError: 13 is no number', '... or one failure');
is(outcome('starmapped'), 'success', 'starmap is one outcome');
$node->wait_for(q{SELECT count(*) = 5 FROM rhesis_notify.task_notifications WHERE task_name = 'test.mapped'});
pass('and so is each chunk');
like(outcome('expired'), qr/^failed: TaskRevokedError: expired/, 'a task that expires before it runs is a failure');
is($node->sql(q{SELECT count(*) FROM rhesis_notify.task_notifications WHERE user_id IS DISTINCT FROM '} . $JANE . q{'}), 0, 'each row has its owner');

# ---- Eager mode ----

is($celery->program('-c', <<"PYTHON"), "done\n", 'eager mode');
from outcome_tasks import *

tenant = dict(user_id="$JANE", organization_id="$ACME")
collect.apply([[1]], headers=tenant, task_id="eager")
mapped.apply([13], kwargs=tenant, task_id="eager in vain", throw=False)
try:
    mapped.apply([13], headers=tenant, task_id="eager, thrown", throw=True)
except ValueError:
    pass
app.conf.update(task_always_eager=True, task_eager_propagates=True)
try:
    mapped.apply_async([13], headers=tenant, task_id="always eager, thrown")
except ValueError:
    pass
unbound.apply_async(["always eager"], headers=tenant, task_id="always eager")
app.conf.task_eager_propagates = False
swallows_retry.apply(task_id="eager retry", headers=tenant)
retries_without_throw.apply(task_id="eager retry without throw", headers=tenant)
mapped(1)
mapped.run(1)
print("done")
PYTHON
is(outcome('eager'), 'success', 'a task that is applied');
is(outcome($_), 'failed: ValueError: 13 is no number', $_) foreach 'eager in vain', 'eager, thrown', 'always eager, thrown';
is(outcome('always eager'), 'success: always eager', 'task_always_eager');
is($node->sql(q{SELECT count(*) FROM rhesis_notify.task_notifications WHERE task_name = 'test.mapped'}), 8, 'a task that is called reports nothing');

# ---- Tasks that are never run, because an earlier one failed ----

my %reported = (
	'chain' => 'test.collect', 'group' => 'test.collect', 'whole group' => 'test.collect, test.publish', 'chord' => 'test.publish',
	'single' => 'test.collect');
foreach my $kind (sort keys %reported)
{
	$node->sql('DELETE FROM rhesis_notify.task_notifications');
	submit(call('starts_chord', [ $kind, JSON::PP::true() ]));
	my $names = q{SELECT string_agg(DISTINCT task_name, ', ' ORDER BY task_name) FROM rhesis_notify.task_notifications WHERE status = 'failed'};
	$node->wait_for(qq{SELECT ($names) = '$reported{$kind}'});
	is($node->sql(q{SELECT count(DISTINCT user_id) FROM rhesis_notify.task_notifications}), 1, "a chord that fails before a $kind: its owner is told");
}
submit(call('starts_chord', [ 'chain of silent ones', JSON::PP::true() ]));
RhesisNotify::Peer::wait_until(sub { $celery->log('celery') =~ /Could not report that \S+ failed: no task of it reports: .*part 2 failed/ }, 'the log has it');
pass('a chord of which nothing reports is in the log');
$node->sql('DELETE FROM rhesis_notify.task_notifications');
submit(call('starts_chord', [ 'chain', 'killed' ]));
$node->wait_for(q{SELECT string_agg(task_name || user_id, ', ') = 'test.collect} . $JANE . q{' FROM rhesis_notify.task_notifications});
pass('a chord of which a process is killed: the owner is told');
$node->sql('DELETE FROM rhesis_notify.task_notifications');
submit(call('starts_chain'));
$node->wait_for(q{SELECT string_agg(task_name || ' ' || error_message, ', ') = 'test.publish ValueError: in another base' FROM rhesis_notify.task_notifications});
pass('a chain that breaks off in a task of another base: what is mailed of the rest is told');

# ---- Values ----

my $expected = q{{"7": "seven", "at": "2024-01-15 14:30:25", "day": "2024-01-15", "nul": "ab", "red": "key", "set": [1], "data": {"colour": "red", "number": 1}, "half": "a?b", "hour": "14:30:00", "None": "none", "path": "/a", "took": "0:02:45", "bytes": "café", "count": 10, "large": 1000000000000000000000000000000, "model": {"field": "red"}, "price": "12.50", "tuple": [1, "b"], "colour": "red", "nested": {"good": {"deeper": [1]}}, "scalar": 1.5, "scores": [1.0, 3], "nameless": "NAMELESS", "tuple key": {"kept": 1}, "test_run_id": "00000000-0000-0000-0000-000000000001"}};
submit(map { call($_) } qw(returns_values returns_values_in_session returns_data returns_rude));
foreach my $task (qw(returns_values returns_values_in_session))
{
	is(outcome($task), 'success', $task);
	is(column($task, 'result::text'), $node->sql("SELECT '$expected'::jsonb::text"), '... with all values that are of use');
}
outcome('returns_data');
is(column('returns_data', 'result::text'), '{"colour": "red", "number": 1}', 'a dataclass is as good as a dict');
is(outcome('returns_rude'), 'success', 'a result that can\'t be read at all does not cost the row');

is($celery->program('-c', 'import outcome_tasks as o; print(all(o.REFUSED), any(o.TAKEN), o.own_template.email_template)'), "True False my_template\n",
	'a template that is none is refused when it is written, the member of an enum is taken');
is($celery->program('-c', 'import outcome_tasks as o; print(o.NAMED, [type(name) is str for name in o.NAMED])'),
	"['mine', 'task_completion', 'test_execution_summary'] [True, True, True]\n", 'a template is known by its text, whatever class that has');
is($celery->program('-c', 'import outcome_tasks as o; print(o.OF_A_BASE)'),
	"[('my_template', None), ('task_completion', None), 'refused', 'refused', 'refused', (None, 'Done')]\n", 'so is one that a base names, or an option of the task');

# ---- The server was restarted ----

submit(map { call('publish', [], task_id => "before $_") } 1 .. 8);
outcome("before $_") foreach 1 .. 8;
$node->restart;
submit(map { call('publish', [], task_id => "after $_") } 1 .. 8);
is(outcome("after $_"), 'success: published', "a pool whose connections are from before the restart: report $_") foreach 1 .. 8;
unlike($celery->log('celery'), qr/Could not report task/, 'none was lost until here');

# ---- The result backend cannot be reached ----

my @ends = (succeeds => 'success: done', fails => 'failed: ValueError: my own words', 'kills itself' => 'failed: WorkerLostError: ', retries => 'success: done');
while (my ($end, $outcome) = splice @ends, 0, 2)
{
	submit(call('waits', [ $end, $end ], task_id => $end));
	RhesisNotify::Peer::wait_until(sub { -e "$celery->{directory}/$end.waits" }, "$end waits");
	$celery->stop_redis('backend');
	append_to_file("$celery->{directory}/$end.goes", '');
	like(outcome($end), qr/^\Q$outcome\E/, "without a result backend: a task that $end is reported");
	$celery->start_redis('backend');
}
submit(call('too_slow', ['slow'], task_id => 'slow'));
RhesisNotify::Peer::wait_until(sub { -e "$celery->{directory}/slow.waits" }, 'it is slow');
$celery->stop_redis('backend');
like(outcome('slow'), qr/^failed: TimeLimitExceeded/, '... and one at its time limit');
$celery->start_redis('backend');

# ---- Other pools ----

foreach my $pool (qw(solo threads))
{
	$celery->start_worker('outcome_tasks', $pool, '--pool', $pool, '--concurrency', 2);
	submit(map { call($_, [], task_id => "$_ $pool", queue => $pool) } qw(publish raises_unpicklable retries_without_throw));
	is(outcome("publish $pool"), 'success: published', "a success in the pool $pool");
	is(outcome("raises_unpicklable $pool"), 'failed: Unpicklable: cannot be pickled', '... a failure');
	is(outcome("retries_without_throw $pool"), 'failed: ValueError: in vain', '... and a retry');
	$celery->stop_worker($pool);
}

# ---- The application's own base after the migration in doc/migrate.md ----

$node->sql('DELETE FROM rhesis_notify.task_notifications');
$celery->start_worker('migrated_tasks', 'migrated', '--concurrency', 2);
$celery->submit('migrated_tasks', map { { task => "migrated.$_->[0]", task_id => $_->[0], headers => \%tenant, queue => 'migrated', args => $_->[1] // [] } }
	[ silent => [ JSON::PP::false() ] ], ['summary'], ['legacy'], ['legacy_fails'], ['plain']);
is(outcome('summary'), 'success: API Tests', 'a task of the migrated base with a decorator');
is(column('summary', 'template'), 'test_execution_summary', '... has its template');
is(outcome('legacy'), "success: $ACME $project", 'the legacy EmailEnabledTask, whose session has the third setting');
is(column('legacy', 'template'), 'task_completion', '... is mailed');
is(outcome('legacy_fails'), 'failed: the endpoint does not answer', 'its failure, after its retries, has the text alone');
is(outcome('plain'), "success: $ACME $project", 'a task without decorator');
is(column('plain', 'template IS NULL'), 't', '... is not mailed');
RhesisNotify::Peer::wait_until(sub { $celery->log('migrated') =~ /\[silent\] succeeded/ }, 'the silent one has ended');
is($node->sql(q{SELECT count(*) FROM rhesis_notify.task_notifications WHERE task_id = 'silent'}), 0, 'the SilentTask writes no row');
$celery->stop_worker('migrated');

$celery->stop_worker('celery');
$celery->stop;
$node->stop;
done_testing();

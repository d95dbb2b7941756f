# The ways in which the run of a task can end, from Celery's documentation: retries, exits, lost
# processes, revokes, shutdowns, canvases, replacements, eager mode, calls. As doc/tasks.md says,
# each of them leads to one row with the outcome, or to none. Nothing is mailed here.
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
my %tenant = (user_id => $JANE, organization_id => $ACME);

my $node = RhesisNotify::Cluster->serve('main');
$node->sql('CREATE ROLE app LOGIN');
$node->sql(q{SELECT rhesis_notify.grant_to('app')});
command_ok([ 'psql', '-X', '-q', '-d', $node->connstr('postgres'), '-v', 'role=app', '-f', "$examples/app.sql" ],
	'the application has its table');

my $celery = RhesisNotify::Celery->start($node, 'app');
$celery->environment(CELERY_RESULT_BACKEND => $celery->start_redis('backend'));
my ($version) = $celery->program('-c', 'import celery; print(celery.VERSION.major * 100 + celery.VERSION.minor)') =~ /(\d+)/;
diag("with Celery $version and $celery->{driver}");
$celery->start_worker('ending_tasks', 'celery', '--concurrency', 2);

# Returns a call of test.TASK with an id that the test chooses: "TASK", or "TASK ARGUMENT" if there
# is one.
sub call
{
	my ($task, $args, %options) = @_;
	return { task => "test.$task", args => $args // [], task_id => join(' ', $task, @{ $args // [] }), headers => \%tenant, %options };
}

sub submit
{
	return $celery->submit('ending_tasks', @_);
}

sub rows
{
	my ($task_id) = @_;
	return $node->sql(qq{SELECT count(*) FROM rhesis_notify.task_notifications WHERE task_id = '$task_id'});
}

# Waits until a task is reported. Returns its status, with its error or with the name that it
# returned.
sub outcome
{
	my ($task_id) = @_;
	$node->wait_for("SELECT count(*) = 1 FROM rhesis_notify.task_notifications WHERE task_id = '$task_id'");
	return $node->sql(
		qq{SELECT concat_ws(': ', status, coalesce(error_message, result ->> 'test_set_name')) FROM rhesis_notify.task_notifications WHERE task_id = '$task_id'});
}

# Waits until the worker's log matches.
sub logged
{
	my ($pattern, $name, $queue) = @_;
	RhesisNotify::Peer::wait_until(sub { $celery->log($queue // 'celery') =~ $pattern }, $name);
	return;
}

# ---- Retries ----

submit((map { call('retries_in_vain', [$_]) } 'with exc', 'without exc', 'outside'),
	(map { call('retries_automatically', [$_]) } qw(KeyError IndexError ValueError)),
	call('may_not_retry'), call('retries_elsewhere', ['here']));
is(outcome('retries_in_vain with exc'), 'failed: ValueError: the first cause', 'retry(exc=...) in vain: that error');
like(outcome("retries_in_vain $_"), qr/^failed: MaxRetriesExceededError: Can't retry test\.retries_in_vain/, "retry() in vain, $_ an error: Celery's own") foreach 'without exc', 'outside';
is(outcome('retries_automatically KeyError'), q{failed: KeyError: 'in vain'}, 'autoretry_for in vain');
is(outcome('retries_automatically IndexError'), 'failed: IndexError: in vain', 'dont_autoretry_for');
is(outcome('retries_automatically ValueError'), 'failed: ValueError: in vain', 'an error that is not retried');
is(outcome('may_not_retry'), 'failed: ValueError: never again', 'max_retries = 0');
is(outcome('retries_elsewhere here'), 'success: there', 'a retry with other arguments');

# ---- Ends without a Python exception ----

my @exits = ('sys.exit', 'os._exit', 'SystemExit', 'CancelledError', 'MemoryError');
submit(map { call('exits', [$_]) } @exits[ 0 .. 3 ]);
# billiard 4.3 passes on the exception of the task.
like(outcome("exits $_"), $_ eq 'os._exit' ? qr/^failed: WorkerLostError/ : qr/^failed: (?:WorkerLostError|SystemExit: |CancelledError: )/, "$_: the process is lost") foreach @exits[ 0 .. 3 ];
# With billiard 4.3, MemoryError ends the worker. So this task has its own worker.
$celery->start_worker('ending_tasks', 'memory', '--concurrency', 1);
submit(call('exits', [ $exits[4] ], queue => 'memory'));
is(outcome('exits MemoryError'), 'failed: MemoryError: too much', 'MemoryError');
$celery->stop_worker('memory');
foreach my $pool (qw(solo threads))
{
	$celery->start_worker('ending_tasks', $pool, '--pool', $pool, '--concurrency', 2);
	submit(call('exits', ['CancelledError'], task_id => "cancelled $pool", queue => $pool), call('publish', [], task_id => "after it $pool", queue => $pool));
	like(outcome("cancelled $pool"), qr/^failed: (?:WorkerLostError|CancelledError): /, "CancelledError, which is no Exception, in the pool $pool");
	# CancelledError ends a solo worker of Celery 5.2, so only the pool "threads" runs another task.
	is(outcome("after it $pool"), 'success: published', '... and the next task') if $pool eq 'threads';
	$celery->stop_worker($pool);
}

submit(call('dies_the_first_time'), call('dies_late'), call('is_slow_the_first_time'), call('fails_late'), call('slow_in_session'),
	call('rejects_the_first_time'), call('ignores_in_session'));
is(outcome('dies_the_first_time'), 'success: the second run', 'acks_late and reject_on_worker_lost: the run that comes back counts');
like(outcome('dies_late'), qr/^failed: WorkerLostError/, 'acks_late alone: the process that is lost is the end');
like(outcome('is_slow_the_first_time'), $version >= 505 ? qr/^success: the second run$/ : qr/^failed: TimeLimitExceeded/,
	'acks_on_failure_or_timeout = False, at the hard time limit');
is(outcome('fails_late'), 'failed: ValueError: fails late', '... and with an error');
like(outcome('slow_in_session'), qr/^failed: SoftTimeLimitExceeded/, 'the soft time limit, in the middle of a transaction');
is($node->sql(q{SELECT count(*) FROM public.test_set WHERE name = 'slow'}), 0, '... and its work is rolled back');
is(outcome('rejects_the_first_time'), 'success: the second run', 'Reject(requeue=True): the run that comes back counts');

# ---- Functions that Celery calls before or after a run ----

submit(map { call($_) } qw(fails_after_a_step goes_on_after_a_step fails_after_run fails_in_session_after_run foreign_calls derived));
is(outcome('fails_after_a_step'), 'failed: ValueError: after the step', 'a function with a session of its own, that the task calls, is not its end');
is(outcome('goes_on_after_a_step'), 'success: done with what is of a step', '... nor what the task returns');
is(outcome('fails_after_run'), 'failed: ValueError: after run()', 'another task\'s run(), without bind=True, is not its end');
is(outcome('fails_in_session_after_run'), 'failed: ValueError: after run()', '... nor in a session');
is(outcome('derived'), q{failed: ValueError: after the base's run}, 'a base\'s run(), called by what is derived of it, is not its end');
logged(qr/\[foreign_calls\] succeeded.*\Q$JANE\E/, 'a task of another base has its session in run()');
is($node->sql(q{SELECT count(*) FROM rhesis_notify.task_notifications WHERE task_name IN ('test.unbound_step', 'test.foreign_calls')}), 0, '... and reports nothing');

submit((map { call('applies', [$_]) } qw(succeeds fails)), call('nested', [2]));
is(outcome('applies succeeds'), 'success: SUCCESS SUCCESS', 'apply() in a task: the outer one');
is(outcome('applies succeeds, inner'), 'success: published', '... and the inner one');
is(outcome('applies fails'), 'failed: ValueError: after apply()', 'an outer one that fails after apply()');
is(outcome('applies fails, nested'), 'success: depth 2', '... whose inner one has ended well');
is(outcome("nested 2$_->[0]"), "success: depth $_->[1]", "apply() of itself, depth $_->[1]") foreach [ '', 2 ], [ ' 2', 1 ], [ ' 2 1', 0 ];

# ---- Bases ----

submit((map { call('after_return_fails', [$_]) } 0, 1), call('before_start_fails'), call('abortable'));
is(outcome('after_return_fails 0'), 'success', 'an after_return that raises comes after the end: a success');
is(outcome('after_return_fails 1'), 'failed: ValueError: my own words', '... and a failure');
is(outcome('before_start_fails'), 'failed: RuntimeError: in before_start', 'a before_start that raises');
RhesisNotify::Peer::wait_until(sub { -e "$celery->{directory}/abortable.waits" }, 'the abortable task waits');
$celery->program('-c', 'from ending_tasks import *; abortable.AsyncResult("abortable").abort()');
append_to_file("$celery->{directory}/abortable.goes", '');
is(outcome('abortable'), 'success: aborted', 'an abortable task ends as its function does');

# ---- Row security that reads three settings ----

my $project = 'c0000000-0000-4000-8000-000000000001';
$node->sql(q{CREATE TABLE public.note (project_id uuid, organization_id uuid, words text);
	GRANT SELECT, INSERT ON public.note TO app;
	ALTER TABLE public.note ENABLE ROW LEVEL SECURITY;
	CREATE POLICY organization ON public.note USING (organization_id = nullif(current_setting('app.current_organization', true), '')::uuid);
	CREATE POLICY project ON public.note AS RESTRICTIVE USING (project_id = nullif(current_setting('app.current_project', true), '')::uuid)});
submit(call('writes_note', [$project], headers => { %tenant, project_id => $project }),
	call('writes_note', [$project], task_id => 'another project', headers => { %tenant, project_id => $ACME }),
	call('writes_note', [$project], task_id => 'no project'),
	call('starts_note', [$project], headers => { %tenant, project_id => $project }));
is(outcome("writes_note $project"), 'success: 1', 'a session has the third setting, by which a restrictive policy lets it write and read');
like(outcome('another project'), qr/^failed: ProgrammingError: .*row-level security policy "project"/, '... of its own project alone');
like(outcome('no project'), qr/^failed: ProgrammingError: .*row-level security policy "project"/, '... and not without one');
like(outcome("child of starts_note $project"), qr/^success: [12]$/, 'what a task starts has the setting too');

# ---- Results of tasks that were not run ----

submit(map { call($_) } qw(is_a_generator is_a_coroutine makes_a_generator));
is(outcome('is_a_generator'), 'failed: RuntimeError: the task never ran: it returned a generator', 'a generator is not run');
is(outcome('is_a_coroutine'), 'failed: RuntimeError: the task never ran: it returned a coroutine', '... nor a coroutine');
is(outcome('makes_a_generator'), 'failed: RuntimeError: the task never ran: it returned a generator', '... nor a generator that a task makes');
is($celery->program('-c', <<'PYTHON'), "2 True\n", 'with_tenant_context refuses both');
from ending_tasks import *
async def coroutine(self, db=None): pass
def generator(self, db=None): yield 1
told = [refuses_to_decorate(coroutine), refuses_to_decorate(generator)]
print(sum("is no plain function" in each for each in told), refuses_to_decorate(lambda: None) is None)
PYTHON

# ---- Replacements ----

submit((map { call('replaces_itself', [$_], task_id => "replaced by $_") } 'a task', 'a chain', 'a group', 'a chord'), call('replaces_itself_in_session'));
is(outcome('replaced by a task'), 'success: published', 'a task that replaces itself by a task: that one reports');
is(outcome('replaced by a chain'), 'success: published', '... by a chain: its end');
is(outcome('replaced by a chord'), 'success', '... by a chord: its callback');
$node->wait_for(q{SELECT count(*) = 2 FROM rhesis_notify.task_notifications WHERE task_name = 'test.collect' AND task_id NOT LIKE 'replaced%'});
is($node->sql(q{SELECT count(*) FROM rhesis_notify.task_notifications WHERE task_name LIKE 'test.replaces%'}), 0, 'what is replaced reports nothing');
is(outcome('replaces_itself_in_session'), 'success: published', '... nor in a session');
is($node->sql(q{SELECT count(*) FROM public.test_set WHERE name = 'replaced'}), 0, '... whose work is rolled back');

# ---- Canvases ----

is(rows('ignores_in_session'), 0, 'Ignore: no row');
$node->sql('DELETE FROM rhesis_notify.task_notifications');
$celery->program('-c', <<"PYTHON");
from celery import chain
from ending_tasks import *
from outcome_tasks import foreign, foreign_fails
from rhesis_tasks import report_failure

tenant = dict(user_id="$JANE", organization_id="$ACME")
(foreign.si() | publish.si().set(task_id="end of a chain")).apply_async(headers=tenant)
(collect.si([1]).set(task_id="breaks") | foreign_fails.si() | publish.si().set(task_id="never runs")).apply_async(
    headers=tenant, link_error=report_failure.s())
publish.apply_async(headers=tenant, task_id="linked", link=publish.si().set(task_id="link"))
retries_in_vain.apply_async(["with exc"], headers=tenant, task_id="fails", link=publish.si().set(task_id="link of a failure"),
                            link_error=[report_failure.s(), report_failure.s()])
retries_in_vain.apply_async(["with exc"], headers=tenant, task_id="fails immutably", link_error=report_failure.si())
(foreign_fails.si() | publish.si().set(task_id="never runs either")).apply_async(headers=tenant, link_error=report_failure.si())
group(publish.si().set(task_id=f"of a group {n}") for n in range(3)).apply_async(headers=tenant)
group(foreign_fails.si().set(task_id="foreign"), publish.si().set(task_id="beside a failure"), may_not_retry.si().set(task_id="of a group")).on_error(
    report_failure.s()).apply_async(headers=tenant)
(group(part.si(1), part.si(2, True)) | publish.si().set(task_id="behind a group")).on_error(report_failure.s()).apply_async(headers=tenant)
chord([part.si(1), part.si(2)], publish.si().set(task_id="callback")).apply_async(headers=tenant)
chord([], publish.si().set(task_id="callback of nothing")).apply_async(headers=tenant)
chord([part.si(1), chain(part.si(2), part.s())], collect.s().set(task_id="callback of chains")).apply_async(headers=tenant)
chord(group(part.si(1), part.si(2, True)), publish.si().set(task_id="callback in vain").on_error(report_failure.s())).apply_async(headers=tenant)
chord([part.s(1, True)], chord([part.s()], publish.si().set(task_id="nested callback").on_error(report_failure.s()))).apply_async(headers=tenant)
app.send_task("test.publish", headers=tenant, task_id="sent by name")
app.send_task("test.after_return_fails", args=[], headers=tenant, task_id="wrong arguments")
publish.apply_async(headers=tenant, task_id="never stored", ignore_result=True)
publish.apply_async(headers=tenant, task_id="later", countdown=1, expires=600)
publish.apply_async(headers=tenant, task_id="too late", countdown=1, expires=0.5)
publish.apply_async(headers=tenant, task_id="limited", time_limit=300, soft_time_limit=200)
PYTHON
is(outcome($_), 'success: published', $_) foreach 'end of a chain', 'linked', 'link', (map { "of a group $_" } 0 .. 2), 'callback', 'callback of nothing', 'sent by name',
  'never stored', 'later', 'limited';
is(outcome('breaks'), 'success', 'the first of a chain that breaks off');
is(outcome('never runs'), 'failed: ValueError: in another base', '... and its end');
is(outcome('fails'), 'failed: ValueError: the first cause', 'two errbacks: one row');
is(outcome('fails immutably'), 'failed: ValueError: the first cause', 'an immutable errback');
is(outcome('never runs either'), 'failed: ValueError: in another base', '... of a chain');
is(outcome('beside a failure'), 'success: published', 'a group with an errback, of which one succeeds');
is(outcome('of a group'), 'failed: ValueError: never again', '... and one fails');
logged(qr/Could not report that test\.foreign_fails\[foreign\] failed: no task of it reports: .*in another base/, '... and one of another base is in the log');
like(outcome('behind a group'), qr/^failed: .*part 2 failed/, 'what waits for a group');
is(outcome('callback of chains'), 'success', 'a chord of chains');
like(outcome('callback in vain'), qr/^failed: .*part 2 failed/, 'the callback of a chord that fails');
like(outcome('nested callback'), qr/^failed: .*part 1 failed/, '... of a chord in a chord');
like(outcome('wrong arguments'), qr/^failed: TypeError: .*missing 1 required positional argument/, 'wrong arguments');
like(outcome('too late'), qr/^failed: TaskRevokedError: expired/, 'a task that expires while it waits for its time');
is(rows('link of a failure'), 0, 'what is linked to a failure does not run, and reports nothing');
is($node->sql(q{SELECT string_agg(task_id, ', ' ORDER BY task_id) FROM rhesis_notify.task_notifications WHERE user_id IS DISTINCT FROM '} . $JANE . q{'}), '', 'each row has its owner');

# ---- Eager mode ----

$node->sql('DELETE FROM rhesis_notify.task_notifications');
is($celery->program('-c', <<"PYTHON"), "Retry ValueError RuntimeError\n", 'eager mode');
from ending_tasks import *
from outcome_tasks import foreign

tenant = dict(user_id="$JANE", organization_id="$ACME")

def raises(function, *args, **options):
    try:
        function(*args, headers=tenant, **options)
    except Exception as error:
        return type(error).__name__

retried = raises(retries_in_vain.apply, ["with exc"], task_id="retry, thrown", throw=True)
retries_in_vain.apply(["with exc"], headers=tenant, task_id="retry", throw=False)
app.conf.update(task_always_eager=True, task_eager_propagates=True)
failed = raises(fails_after_a_step.apply_async, task_id="step")
raises(retries_automatically.apply_async, ["KeyError"], task_id="autoretry, thrown")
app.conf.task_eager_propagates = False
replaces_itself_eagerly.apply_async(headers=tenant, task_id="replaced")
goes_on_after_a_step.apply_async(headers=tenant, task_id="goes on")
nested.apply_async([1], headers=tenant, task_id="always eager")
(foreign.si() | publish.si().set(task_id="end")).apply_async(headers=tenant)
group(publish.si().set(task_id=f"group {n}") for n in range(2)).apply_async(headers=tenant)
chord([part.si(1), part.si(2)], collect.s().set(task_id="callback")).apply_async(headers=tenant)
ignores_in_session.apply_async(headers=tenant, task_id="ignored")
is_a_generator.apply_async(headers=tenant, task_id="generator")
before_start_fails.apply_async(headers=tenant, task_id="before_start")
fragile = raises(after_return_fails.apply_async, [0], task_id="after_return")
unbound_step.run(), unbound_step(), step(None), step(nested), nested.run(0), nested(0)
print(retried, failed, fragile)
PYTHON
is(outcome('retry, thrown'), 'failed: ValueError: the first cause', 'a retry that apply(throw=True) hands to its caller is the end');
is(outcome('autoretry, thrown'), q{failed: KeyError: 'in vain'}, '... and an automatic one');
is(outcome('retry'), 'failed: ValueError: the first cause', 'one that apply() does');
is(outcome('step'), 'failed: ValueError: after the step', 'a failure after a function with a session');
is(outcome('goes on'), 'success: done with what is of a step', '... and a success');
is(outcome('replaced'), 'success: published', 'an eager replacement');
is(outcome($_), 'success: depth ' . ($_ =~ /1/ ? 0 : 1), $_) foreach 'always eager', 'always eager 1';
is(outcome($_), 'success: published', "eager: $_") foreach 'end', 'group 0', 'group 1';
is(outcome('callback'), 'success', 'eager: a chord');
is(outcome('generator'), 'failed: RuntimeError: the task never ran: it returned a generator', 'eager: a generator');
is(outcome('before_start'), 'failed: RuntimeError: in before_start', 'eager: before_start');
is(outcome('after_return'), 'success', 'eager: after_return');
is($node->sql('SELECT count(*) FROM rhesis_notify.task_notifications'), 15, 'nothing else is reported: not what is ignored, nor what is called');

# ---- Revoked tasks ----

foreach my $signal (qw(TERM KILL))
{
	submit(call('sleeps', [], task_id => "revoked $signal"));
	RhesisNotify::Peer::wait_until(sub { -e "$celery->{directory}/revoked $signal.waits" }, "it sleeps");
	$celery->program('-c', qq{from ending_tasks import app; app.control.revoke("revoked $signal", terminate=True, signal="SIG$signal")});
	logged(qr/Terminating revoked $signal/, 'it is terminated');
}
$celery->program('-c', 'from ending_tasks import app; app.control.revoke("revoked before", reply=True)');
logged(qr/revoked before/, 'the worker knows of it');
submit(call('sleeps', [], task_id => 'revoked before'), call('publish', [], task_id => 'after the revoked ones'));
is(outcome('after the revoked ones'), 'success: published', 'a worker goes on after tasks that were revoked');

# ---- Shutdowns ----

submit(call('waits', [ 'ends', 'warm' ], task_id => 'warm', queue => 'warm'));
$celery->start_worker('ending_tasks', 'warm', '--concurrency', 1);
RhesisNotify::Peer::wait_until(sub { -e "$celery->{directory}/warm.waits" }, 'it waits');
kill 'TERM', $celery->{workers}{warm};
logged(qr/Warm shutdown/, 'the worker is told to end', 'warm');
append_to_file("$celery->{directory}/warm.goes", '');
is(outcome('warm'), 'success: done', 'a warm shutdown waits for the task, and its report');
$celery->stop_worker('warm');

$celery->stop_worker('celery');
is(rows($_), 0, "$_: no row") foreach 'revoked TERM', 'revoked KILL', 'revoked before';
unlike($celery->log('celery'), qr/Could not report task/, 'each was reported');
$celery->stop;
$node->stop;
done_testing();

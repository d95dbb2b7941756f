
# Implicit casts that a superuser created make no statement ambiguous. They are casts of the
# extension's type, and of PostgreSQL's types, as for programs that were written for other
# databases. Every function and view works as before, and the worker mails.
use strict;
use warnings FATAL => 'all';

use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use Test::More;

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, settings => { retry_delay => '100ms', retry_max_delay => '100ms' });
my $state = 'rhesis_notify.delivery_state';

$node->sql(qq{
	CREATE FUNCTION public.to_number($state) RETURNS integer LANGUAGE sql AS 'SELECT 1';
	CREATE FUNCTION public.to_number(text) RETURNS integer LANGUAGE sql AS 'SELECT 1';
	CREATE FUNCTION public.to_truth($state) RETURNS boolean LANGUAGE sql AS 'SELECT true'});

# The types of each cast, and its method. A value is cast through its text unless another method is
# given.
my @own = (
	[ $state, 'text' ], [ $state, 'varchar' ], [ $state, 'name' ], [ $state, 'integer', 'WITH FUNCTION public.to_number' ],
	[ $state, 'boolean', 'WITH FUNCTION public.to_truth' ], [ 'text', $state ], [ 'varchar', $state ], [ 'name', $state ]);
my @others = (
	(map { [ $_, 'text' ] } qw(integer bigint smallint oid numeric float8 timestamptz timestamp interval jsonb uuid tid xid int8[] text[] regclass)),
	(map { [ 'text', $_ ] } qw(integer bigint numeric float8 boolean timestamptz interval jsonb uuid oid text[])),
	[ 'bigint', 'boolean' ], [ 'integer', 'varchar' ], [ 'bigint', 'varchar' ], [ 'interval', 'float8' ], [ 'timestamptz', 'bigint' ], [ 'jsonb', 'jsonb[]' ]);

# One call of each function, and one query of each view and table.
my @calls = (
	(map { "SELECT count(*) FROM rhesis_notify.$_" } split /\n/, $node->sql(q{SELECT relname FROM pg_class WHERE relnamespace = 'rhesis_notify'::regnamespace AND relkind IN ('r', 'v') ORDER BY relname})),
	q{SELECT * FROM rhesis_notify.delivery_status}, q{SELECT * FROM rhesis_notify.queue_status}, q{SELECT * FROM rhesis_notify.worker_status}, q{SELECT * FROM rhesis_notify.task_types},
	q{SELECT rhesis_notify.pause()},
	q{SELECT rhesis_notify.task_completed('called', 'app.export', 'success', '1', 'acme', '{"a": 1}', NULL, now() - '1 s'::interval, now(), 'task_completion', 'Subject')},
	q{SELECT rhesis_notify.task_completed('called', 'app.export', 'success')},
	(map { "SELECT count(*) FROM rhesis_notify.$_" }
		'health()', 'explain((SELECT max(id) FROM rhesis_notify.task_notifications))', 'preview((SELECT max(id) FROM rhesis_notify.task_notifications))', 'preview_message((SELECT max(id) FROM rhesis_notify.task_notifications))', 'metrics()', 'metric_samples()', 'worker_slots()', 'copy_sign()', 'adopt_database(true)', 'adopt_database(false)',
		'cancel((SELECT max(id) FROM rhesis_notify.task_notifications))', 'cancel((SELECT max(id) FROM rhesis_notify.task_notifications))', 'retry((SELECT max(id) FROM rhesis_notify.task_notifications))', 'retry((SELECT max(id) FROM rhesis_notify.task_notifications))', q{retry_all('-infinity', 'cancelled')}, q{retry_failed('-infinity')}, q{email_notification('app.export')}, q{silence('app.export')},
		q{email_notification_test('Hello', '1')},
		q{mustache('{{a}}', '{"a": 1}')}, q{render_template('task_completion', '{"task_name": "export", "task_id": "1", "status": "success"}')}, q{render_diff('task_completion', html => '{{x}}')}, q{template_variables('task_completion')},
		'skip_used_event_ids()', 'wake_workers()', 'check_smtp()', q{send_task_completion_email('jane@example.com', 'Jane', 'export', '1', 'success')},
		q{grant_to('caller')}, q{grant_to('caller', 'operator')}, q{grant_to('caller', 'monitor')}, 'resume()', q{purge('1 hour')}),
	q{INSERT INTO rhesis_notify.templates (name, html) VALUES ('task_completion', '{{task_name}}')}, q{UPDATE rhesis_notify.templates SET html = 'x'}, q{DELETE FROM rhesis_notify.templates},
	q{SET ROLE caller}, q{SELECT count(*) FROM rhesis_notify.task_notifications}, q{SELECT rhesis_notify.task_completed('mine', 'app.export', 'success')});
my $uncalled = $node->sql(q{SELECT string_agg(proname, ' ') FROM pg_proc WHERE pronamespace = 'rhesis_notify'::regnamespace AND prorettype <> 'trigger'::regtype
	AND NOT '} . join(' ', map { s/'//gr } @calls) . q{' ~ (proname || '\(')});
is($uncalled, '', 'every function is called');
$node->sql('CREATE ROLE caller');
my $script = join ";\n", 'SET client_min_messages = warning', 'BEGIN', @calls, 'RESET ROLE', "ROLLBACK;\n";

sub errors_of_calls
{
	my $err;
	$node->psql('postgres', $script, stderr => \$err, on_error_stop => 0, extra_params => [ '-v', 'ON_ERROR_ROLLBACK=on' ]);
	return join "\n", grep { /ERROR/ } split /\n/, $err;
}

sub create_casts
{
	foreach my $cast (@_)
	{
		my ($from, $to, $how) = @$cast;
		$node->sql("CREATE CAST ($from AS $to) " . ($how ? $how . ($how =~ /FUNCTION/ ? "($from)" : '') : 'WITH INOUT') . ' AS IMPLICIT');
	}
	return;
}

# Checks that sent, deferred, failed and skipped mails are recorded, and that the rows of a dead
# worker are adopted.
sub mails
{
	my ($what) = @_;
	my $pid = $node->worker('pid');

	$node->sql("SELECT pg_terminate_backend($pid, 10000)");
	$peer->rules({ stage => 'rcpt', action => 'reply', text => '451 4.7.1 later', count => 1 });
	$node->wait_for_state($node->report, 'sent');
	$peer->rules;
	$node->wait_for_state($node->report(user_id => 'nobody'), 'skipped');
	$node->sql(q{SELECT rhesis_notify.email_notification('cast.export', 'task_completion', 'Subject', 'Export')});
	$node->wait_for_state($node->report(task_name => 'cast.export', template => undef), 'sent');
	pass("$what: the worker mails");
	return;
}

is(errors_of_calls(), '', 'without casts, nothing fails');
foreach my $cast (@own, @others)
{
	my ($from, $to) = @$cast;
	create_casts($cast);
	is(errors_of_calls(), '', "$from as $to");
	$node->sql("DROP CAST ($from AS $to)");
}
foreach my $cast (@own)
{
	create_casts($cast);
	mails("$cast->[0] as $cast->[1]");
	$node->sql("DROP CAST ($cast->[0] AS $cast->[1])");
}
create_casts(grep { $_->[1] eq 'text' } @others);
mails('many types as text');
$node->sql("DROP CAST ($_->[0] AS $_->[1])") foreach grep { $_->[1] eq 'text' } @others;
create_casts(grep { $_->[0] eq 'text' } @others);
mails('text as many types');
unlike($node->log, qr/(?:ERROR|WARNING): .*(?:not unique|ambiguous|does not exist)/, 'the log knows of no trouble');

$node->stop;
done_testing();

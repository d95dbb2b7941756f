# The line in postgresql.conf: without it, CREATE EXTENSION names it. If it is lost later, tasks
# still report.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;

my ($result, $stdout, $stderr) = $node->psql('postgres', 'CREATE EXTENSION rhesis_notify');
isnt($result, 0, 'CREATE EXTENSION fails without the library');
like($stderr, qr/HINT:.*shared_preload_libraries = 'rhesis_notify'/, 'and says what to add');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_namespace WHERE nspname = 'rhesis_notify'}), 0, 'nothing is left of it');

$node->append_conf('postgresql.conf', "shared_preload_libraries = 'rhesis_notify'");
$node->restart;
$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION rhesis_notify;
	CREATE ROLE app;
	SELECT rhesis_notify.grant_to('app');
});

# A new server without the line: the application's tasks must not fail.
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
is( $node->safe_psql(
		'postgres', q{
		SET ROLE app;
		SET app.current_organization = 'acme';
		SELECT rhesis_notify.task_completed('t1', 'n', 'success', organization_id => 'acme') > 0;
	}),
	't', 'a task can report');
is( $node->safe_psql(
		'postgres', q{
		SET ROLE app;
		SET app.current_organization = 'acme';
		SELECT task_id, delivery_status FROM rhesis_notify.task_notifications;
	}),
	't1|pending', 'and sees that its mail waits');
($result, $stdout, $stderr) = $node->psql(
	'postgres', q{
	SET ROLE app;
	SET app.current_organization = 'globex';
	INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, organization_id) VALUES ('t2', 'n', 'success', 'acme');
});
like($stderr, qr/row-level security/, 'row security holds');

# ---- Every function in the catalog, each in a new session: functions that need the preloaded
# library report that ----

my %needs_preload = map { $_ => 1 } qw(adopt_database copy_sign email_notification_test explain health metric_samples metrics require_preload
  retry retry_all retry_failed worker_slots);
my $hint = qr/rhesis_notify must be loaded when the server starts\nHINT:.*shared_preload_libraries = 'rhesis_notify'.*restart the server/;
my %useful = (
	bigint => '1', boolean => 'true', integer => '10', interval => q{'1 day'}, jsonb => q{'{"task_name": "x", "status": "success"}'}, regrole => q{'app'},
	'timestamp with time zone' => 'now()', 'rhesis_notify.delivery_state' => q{'failed'});

# Returns a call of a function, with usable values.
sub call_of
{
	my ($name, @types) = @_;
	my $n = 0;
	my @values = map { $n++; $useful{$_} // ($name eq 'task_completed' && $n == 3 || $name eq 'send_task_completion_email' && $n == 5
			? q{'success'} : $name eq 'grant_to' ? q{'task'} : q{'task_completion'}) } @types;

	return sprintf 'SELECT rhesis_notify.%s(%s)', $name, join(', ', map { "($values[$_])::$types[$_]" } 0 .. $#types);
}

my @functions = map { [ split /\|/ ] } split /\n/, $node->safe_psql(
	'postgres', q{
	SELECT proname, string_agg(format_type(type, NULL), '|' ORDER BY n)
	FROM pg_proc AS p LEFT JOIN unnest(proargtypes) WITH ORDINALITY AS a (type, n) ON true
	WHERE pronamespace = 'rhesis_notify'::regnamespace AND prorettype <> 'trigger'::regtype
	GROUP BY p.oid, proname ORDER BY proname});
cmp_ok(scalar @functions, '>', 25, 'functions: ' . join(' ', map { $_->[0] } @functions));

# It makes no difference whether an earlier call in the session has loaded the library.
foreach my $before ('', "LOAD 'rhesis_notify'; ")
{
	foreach my $function (@functions)
	{
		my ($name, @types) = @$function;

		($result, $stdout, $stderr) = $node->psql('postgres', $before . 'BEGIN; ' . call_of($name, grep { defined } @types) . '; ROLLBACK');
		if ($needs_preload{$name})
		{
			like($stderr, $hint, "$before$name() says what to add");
		}
		else
		{
			is($result, 0, "$before$name() needs no worker") or diag($stderr);
		}
	}
}
like($stderr = ($node->psql('postgres', q{SELECT * FROM rhesis_notify.worker_status}))[2], $hint, 'worker_status, too');

# Without the preloaded library, a session cannot compare rhesis_notify.instance to find out whether
# the database is a copy.
($result, $stdout, $stderr) =
  $node->psql('postgres', q{SELECT rhesis_notify.send_task_completion_email('jane@example.com', 'Jane', 'app.x', '1', 'success')});
is($stdout, 'f', 'send_task_completion_email() mails nothing');
like($stderr, qr/WARNING:  Failed to send task completion email to jane\@example\.com: $hint/, 'and says why');

# These functions stop mail, and do not need the library. They have their effect when the line is
# back.
is($node->safe_psql('postgres', q{SELECT rhesis_notify.pause(), rhesis_notify.resume(), rhesis_notify.cancel(1)}), 't|t|t', 'pause(), resume() and cancel() work');

$node->stop;
done_testing();

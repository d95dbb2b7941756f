# The line in postgresql.conf: CREATE EXTENSION says which one is missing, and tasks go on when it is lost.
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

# A server that was set up anew, without the line: the app's tasks must not fail.
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

$node->stop;
done_testing();

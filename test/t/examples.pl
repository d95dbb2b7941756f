# What doc/tasks.md shows of Python is in examples/ as it is, and reports tasks.
use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Basename;
use IPC::Run;
use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster qw($ACME $JANE);
use RhesisNotify::Document qw(page_text blocks);
use RhesisNotify::Peer;
use Test::More;

my $top = abs_path(dirname(__FILE__) . '/../..');
my @python = blocks(page_text('doc/tasks.md'), 'python');

foreach my $example (qw(sqlalchemy_task celery_task))
{
	is(shift(@python), slurp_file("$top/examples/$example.py"), "doc/tasks.md shows examples/$example.py as it is");
}
is_deeply(\@python, [], 'doc/tasks.md has no other Python');

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer);

# A worker of Celery, and two of its tasks; it goes on until its input ends.
my $driver = <<'PYTHON';
import os
import sys

from celery.contrib.testing.worker import start_worker

import celery_task


@celery_task.app.task(base=celery_task.NotifyingTask, template="task_completion", name="reports.broken")
def broken():
    raise ValueError("no such report")


owner = {"user_id": os.environ["OWNER"], "organization_id": os.environ["ORGANIZATION"]}
with start_worker(celery_task.app, pool="solo", perform_ping_check=False):
    celery_task.export.apply_async(["May"], headers=owner, task_id="celery 1")
    broken.apply_async(headers=owner, task_id="celery 2")
    sys.stdin.read()
PYTHON

$node->sql(q{CREATE ROLE app LOGIN});
$node->sql(q{SELECT rhesis_notify.grant_to('app')});
my ($input, $output) = ('', '');
my $celery;
{
	local %ENV = (
		%ENV,
		OWNER => $JANE,
		ORGANIZATION => $ACME,
		PYTHONPATH => "$top/examples",
		PYTHONDONTWRITEBYTECODE => 1,
		CELERY_BROKER_URL => 'memory://',
		DATABASE_URL => sprintf('postgresql+psycopg2://app@/postgres?host=%s&port=%d', $node->host, $node->port));
	$celery = IPC::Run::start([ '/usr/bin/python3', '-c', $driver ], '<', \$input, '>&', \$output, IPC::Run::timeout(120));
}
$celery->pump_nb until $node->sql(q{SELECT count(*) = 2 FROM rhesis_notify.task_notifications WHERE finished_at IS NOT NULL}) eq 't' || !$celery->pumpable;
$celery->finish;

is( $node->sql(q{SELECT string_agg(concat_ws('|', task_id, task_name, status, delivery_status, recipient_email, result, error_message), E'\n' ORDER BY task_id)
		FROM rhesis_notify.task_notifications}),
	qq{celery 1|reports.export|success|sent|jane\@example.com|{"rows": 12, "report": "May"}\n}
	  . q{celery 2|reports.broken|failed|sent|jane@example.com|ValueError: no such report},
	'tasks of Celery are mailed, as the examples do it') or diag($output);
is( $node->sql(q{SELECT bool_and(completed_at >= started_at) FROM rhesis_notify.task_notifications}), 't', 'with their execution time');

$node->stop;
$peer->stop;
done_testing();

# The examples that report tasks without Celery: each of them runs, and its mail arrives. The Python
# code in README.md and doc/ must also be in examples/.
use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Basename;
use HTTP::Tiny;
use IO::Socket::INET;
use IPC::Run;
use JSON::PP;
use POSIX ();
use PostgreSQL::Test::Utils;
use RhesisNotify::Celery;
use RhesisNotify::Cluster qw($ACME $JANE);
use RhesisNotify::Document qw(pages page_text blocks);
use RhesisNotify::Peer;
use Test::More;

my $top = abs_path(dirname(__FILE__) . '/../..');
my $examples = "$top/examples";

# ---- The code in the documentation ----

my %source = map { $_ => slurp_file($_) } grep { -f } map { glob "$examples/$_" } qw(*/*.py */*/*.py */*/*/*.py);
foreach my $page (pages(), map { s{^\Q$top\E/}{}r } glob "$examples/*/README.md")
{
	my $number = 0;
	foreach my $block (blocks(page_text($page), 'python'))
	{
		ok((grep { index($_, $block) >= 0 } values %source), sprintf('Python %d of %s is in examples/ as it is', ++$number, $page)) or diag($block);
	}
}

# Users copy each example alone. So the code that prepares a result for a row is in each of them.
my %same = map { $_ => $source{"$examples/$_"} =~ /^(# ---- What goes into a row\..*^# ---- End of the same lines ----$)/ms }
  qw(celery/rhesis_tasks.py sqlalchemy/report_task.py django/notifications/plain.py);
is(scalar(keys %{ { reverse %same } }), 1, 'the examples have the same lines for what goes into a row');
is(scalar(keys %same), 3, '... all of them');

# The module for copying must be documented. Nested functions need no docstring.
my $undocumented = qx(/usr/bin/python3 - '$examples/celery/rhesis_tasks.py' 2>&1 <<'PYTHON'
import ast, sys

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

def check(body, prefix=""):
    for node in body:
        if not isinstance(node, (*FUNCTIONS, ast.ClassDef)) or node.name.startswith("_"):
            continue
        name = prefix + node.name
        if not ast.get_docstring(node):
            print(name, "has no docstring")
        if isinstance(node, ast.ClassDef):
            check(node.body, name + ".")
            continue
        takes = node.args
        given = [*takes.posonlyargs, *takes.args, takes.vararg, *takes.kwonlyargs, takes.kwarg]
        for argument in given[1 if prefix else 0:]:
            if argument and argument.annotation is None:
                print(name, "does not say what", argument.arg, "is")
        if node.returns is None:
            print(name, "does not say what it returns")

with open(sys.argv[1], encoding="utf-8") as file:
    check(ast.parse(file.read()).body)
PYTHON
);
is($undocumented, '', 'every public function, class and method of rhesis_tasks.py has a docstring and type hints');
is($?, 0, '... as Python reads it');

# Results of tasks, and their form in a row.
my $values = <<'PYTHON';
import datetime as dates, decimal, enum, math, uuid
Colour = enum.Enum("Colour", {"RED": "red"})
VALUES = {
    "test_set_name": "kept", "id": uuid.UUID(int=1), "at": dates.datetime(2024, 1, 15, 14, 30), "price": decimal.Decimal("12.50"),
    "nan": math.nan, "scores": [1, math.inf, 2], "nul": "a\0b", "half": "a\ud800b", "colour": Colour.RED, "bytes": b"caf\xc3\xa9",
    "no text": b"\xff", "object": object(), (1, 2): "no key", 7: "seven", "large": 10 ** 5000,
}
PYTHON
my $values_in_row = qq({"7": "seven", "at": "2024-01-15 14:30:00", "id": "00000000-0000-0000-0000-000000000001", "nul": "ab",
	"half": "a?b", "bytes": "caf\xc3\xa9", "price": "12.50", "colour": "red", "scores": [1, 2], "test_set_name": "kept"});

# ---- Running them ----

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, settings => { 'server.max_worker_processes' => 16 });
$node->sql('CREATE ROLE app LOGIN');
$node->sql(q{SELECT rhesis_notify.grant_to('app')});

# Returns the environment of a program that uses this database as this role.
sub environment
{
	my ($database, $role) = @_;
	return (
		%ENV,
		PGHOST => $node->host,
		PGPORT => $node->port,
		PGDATABASE => $database,
		PGUSER => $role,
		DATABASE_URL =>
		  sprintf('postgresql+%s://%s@/%s?host=%s&port=%d', RhesisNotify::Celery::driver(), $role, $database, $node->host, $node->port),
		PYTHONDONTWRITEBYTECODE => 1);
}

# Returns the exit code and the output of a program, started in this directory of examples/.
sub run_in
{
	my ($directory, $environment, @command) = @_;
	my $output = '';
	local %ENV = %$environment;

	IPC::Run::run(\@command, '<', \undef, '>&', \$output, init => sub { chdir "$examples/$directory" or POSIX::_exit(126) });
	return ($? >> 8, $output);
}

sub runs_in
{
	my ($directory, $environment, $name, @command) = @_;
	my ($code, $output) = run_in($directory, $environment, @command);

	is($code, 0, $name) or diag($output);
	return $output;
}

# Waits for the next mail.
my $seen = 0;

sub next_mail
{
	my @mails = $peer->wait_for_mails(++$seen);
	return $mails[ $seen - 1 ];
}

# ---- SQLAlchemy, Alembic ----

my $said = runs_in('sqlalchemy', { environment('postgres', 'app') }, 'SQLAlchemy reports a task', '/usr/bin/python3', '-c', <<"PYTHON");
import os
from datetime import datetime, timedelta, timezone
from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from report_task import report_task

$values
engine = create_engine(os.environ["DATABASE_URL"])
task = dict(status="success", user_id="$JANE", organization_id="$ACME", result={"test_set_name": "Safety"}, template="task_completion",
            started_at=datetime.now(timezone.utc) - timedelta(seconds=165))
with Session(engine) as session:
    report_task(session, "rolled back", "reports.export", **task)
    session.rollback()
    report_task(session, "committed", "reports.export", **task)
    session.commit()
    report_task(session, uuid.UUID(int=7), "reports.export", "failed", None, result=VALUES, error_message=ValueError("nul \\0"))
    session.commit()
    assert report_task(session, "committed", "reports.export", **task) is None
    session.commit()
PYTHON
like($said, qr/^Task reports\.export\[committed\] has reported before: its first report stays$/m, '... says that a task has reported before');
my $mail = next_mail();
like($mail->text, qr/Task ID: committed\n.*Execution Time: \d+m \d+s\n.*Test Set: Safety/s, '... and mails it');
my ($minutes, $seconds) = $mail->text =~ /Execution Time: (\d+)m (\d+)s/;
cmp_ok($minutes * 60 + $seconds, '>=', 165, '... with its time, from its start to its report');
is($node->sql('SELECT count(*) FROM rhesis_notify.task_notifications'), 2, '... if its transaction commits');
is($node->sql(q{SELECT error_message || result::text FROM rhesis_notify.task_notifications WHERE user_id IS NULL}),
	$node->sql("SELECT 'nul ' || '$values_in_row'::jsonb::text"), '... with each value that is of use');

$node->sql('CREATE DATABASE alembic');
my $alembic = abs_path(PostgreSQL::Test::Utils::tempdir('alembic'));
IPC::Run::run([ 'cp', '-r', "$examples/sqlalchemy/.", $alembic ]) or die 'could not copy';
my %alembic = environment('alembic', 'postgres');

sub alembic
{
	my ($name, @arguments) = @_;
	return runs_in('sqlalchemy', \%alembic, $name, '/usr/bin/python3', '-m', 'alembic', '--config', "$alembic/alembic.ini", @arguments);
}

alembic('Alembic upgrades', 'upgrade', 'head');
$node->sql(qq{INSERT INTO organization (id, name) VALUES ('$ACME', 'acme');
	INSERT INTO "user" (id, email, name, organization_id, is_active) VALUES ('$JANE', 'jane\@example.com', 'Jane Doe', '$ACME', true)}, 'alembic');
$node->report(database => 'alembic', task_name => 'reports.export', template => undef);
is(next_mail()->header('Subject'), 'Task Completed: Export - Success', '... and the task that it registered is mailed');
alembic('Alembic compares', 'revision', '--autogenerate', '--rev-id', '0003', '-m', 'compared');
like(slurp_file("$alembic/migrations/versions/0003_compared.py"), qr/def upgrade\(\):\n    # ### [^\n]*\n    pass\n/, '... and leaves the extension alone');
alembic('Alembic downgrades', 'downgrade', '0001');
is($node->sql(q{SELECT count(*) FROM pg_extension WHERE extname = 'rhesis_notify'}, 'alembic'), 0, '... and the extension is gone');
alembic('Alembic upgrades again', 'upgrade', '0002');
$node->sql('DROP DATABASE alembic');

# ---- Django ----

$node->sql('CREATE DATABASE django');
my %django = environment('django', 'postgres');
my @manage = ('/usr/bin/python3', 'manage.py');
runs_in('django', \%django, 'Django migrates', @manage, 'migrate');
like(runs_in('django', \%django, 'Django compares', @manage, 'makemigrations', '--check', '--dry-run'), qr/No changes detected/, '... and finds its models as they are');
$node->sql('GRANT SELECT ON auth_user TO app; GRANT SELECT, INSERT ON auth_group TO app; GRANT USAGE ON SEQUENCE auth_group_id_seq TO app', 'django');
$node->sql(q{INSERT INTO auth_user (username, password, is_superuser, first_name, last_name, email, is_staff, is_active, date_joined)
	VALUES ('jane', '!', false, 'Jane', 'Doe', 'jane@example.com', false, true, now())}, 'django');
$said = runs_in('django', { environment('django', 'app'), DJANGO_SETTINGS_MODULE => 'project.settings' }, 'Django reports a task', '/usr/bin/python3', '-c', <<"PYTHON");
$values
import django
django.setup()
from django.contrib.auth.models import User
from django.db import IntegrityError
from notifications.models import TaskNotification
from notifications.tasks import create_group

jane = User.objects.get()
TaskNotification.objects.report(
    task_id=uuid.UUID(int=7), task_name="reports.export", status="failed", error_message=ValueError("nul \\0"), result=VALUES)
create_group("committed", "Testers", jane)
create_group("committed", "Testers, delivered twice", jane)
try:
    create_group("rolled back", "Testers", jane)
except IntegrityError:
    pass
PYTHON
like($said, qr/^Task groups\.create\[committed\] has reported before: its first report stays$/m, '... and says that a task has reported before');
$node->sql(q{SELECT setval('rhesis_notify.task_notifications_id_seq', 1, false)}, 'django');
like(runs_in('django', { environment('django', 'app'), DJANGO_SETTINGS_MODULE => 'project.settings' }, 'Django meets a sequence that is behind', '/usr/bin/python3', '-c', <<"PYTHON"),
import django
django.setup()
from django.db import DatabaseError
from notifications.models import TaskNotification
try:
    TaskNotification.objects.report(task_id="lost", task_name="reports.export", status="success")
except DatabaseError as error:
    print(error)
PYTHON
	qr/^the sequence of rhesis_notify\.task_notifications\.id is behind the rows$/m, '... an id that is there already loses no report without a word');
$node->sql(q{SELECT setval('rhesis_notify.task_notifications_id_seq', 1000)}, 'django');
$mail = next_mail();
is($node->sql(q{SELECT error_message || result::text FROM rhesis_notify.task_notifications WHERE user_id IS NULL}, 'django'),
	$node->sql("SELECT 'nul ' || '$values_in_row'::jsonb::text"), '... with each value that is of use');
like($mail->text, qr/Hello Jane Doe.*Task Name: Create group Testers\n.*Task ID: committed/s, '... and mails a user of Django\'s');
$node->wait_for('SELECT bool_and(finished_at IS NOT NULL) FROM rhesis_notify.task_notifications', 'django');
is(runs_in('django', { environment('django', 'app'), DJANGO_SETTINGS_MODULE => 'project.settings' }, 'Django reads the state', '/usr/bin/python3', '-c', <<'PYTHON'),
import django
django.setup()
from notifications.models import DeliveryStatus
print([(status.task, status.recipient, status.state) for status in DeliveryStatus.objects.filter(task="create")])
PYTHON
	"[('create', 'jane\@example.com', 'sent')]\n", '... of its one mail');
runs_in('django', \%django, 'Django migrates back', @manage, 'migrate', 'notifications', 'zero');
is($node->sql(q{SELECT count(*) FROM pg_extension WHERE extname = 'rhesis_notify'}, 'django'), 0, '... and the extension is gone');
$node->sql('DROP DATABASE django');

# ---- PL/pgSQL, psql ----

runs_in('plpgsql', { environment('postgres', 'postgres') }, 'jobs in PL/pgSQL', 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', 'jobs.sql');
$node->sql(qq{INSERT INTO public.job (name, statement, user_id, organization_id) VALUES
	('Clean-up', 'CREATE TABLE public.clean ()', '$JANE', '$ACME'),
	('Division', 'CREATE TABLE public.divided AS SELECT 1 / 0 AS quotient', '$JANE', '$ACME')});
$node->sql('CALL public.run_jobs()');
my %mails = map { $_->header('Subject') => $_->text } next_mail(), next_mail();
is_deeply([ sort keys %mails ], [ 'Task Completed: Clean-up - Success', 'Task Completed: Division - Failed' ], 'both are mailed');
like($mails{'Task Completed: Division - Failed'}, qr/division by zero/, '... the failure with its error');
$node->sql(q{UPDATE public.job SET state = 'done' WHERE name = 'Division'});

my %psql = environment('postgres', 'app');
runs_in('psql', \%psql, 'a command is reported by psql', "$examples/psql/report.sh", 'nightly.backup', $JANE, $ACME, 'true');
is(next_mail()->header('Subject'), 'Task Completed: nightly.backup - Success', '... and mailed');
my ($code, $output) = run_in('psql', \%psql, "$examples/psql/report.sh", q(it's "nightly"), $JANE, $ACME, 'sh', '-c', q(echo "it's :'name' \\ full" >&2; exit 3));
is($code, 3, 'one that fails ends as it did');
is($output, "it's :'name' \\ full\n", '... with its own words');
like(next_mail()->text, qr/exit code 3: it's :'name' \\ full\n/, '... which are mailed');
($code, $output) = run_in('psql', \%psql, "$examples/psql/report.sh", 'nightly.backup', $JANE, $ACME, 'sh', '-c', q(printf '\303\251%.0s' $(seq 1500) >&2; printf '\377xy' >&2; exit 4));
is($code, 4, 'one whose words are cut within a character, and are not all UTF-8, is reported');
like(next_mail()->text, qr/exit code 4: /, '... and mailed');
($code, $output) = run_in('psql', \%psql, "$examples/psql/report.sh", 'nightly.backup', $JANE, $ACME);
is("$code: $output", "2: usage: report.sh NAME USER_ID ORGANIZATION_ID COMMAND [ARGUMENT...]\n", 'without a command it says how it is called');
($code, $output) = run_in('psql', { %psql, PGPORT => 1 }, "$examples/psql/report.sh", 'nightly.backup', $JANE, $ACME, 'true');
is($code, 0, 'one that can\'t be reported ends as it did too');
like($output, qr/report\.sh: could not report nightly\.backup$/, '... and says so');

# Runs the commands of doc/tasks.md in a new database.
$node->sql('CREATE DATABASE mydb');
$node->create_app('mydb');
$node->sql(q{SELECT rhesis_notify.grant_to('app');
	INSERT INTO public.organization VALUES ('a0000000-0000-4000-8000-000000000001', 'example', 'Example');
	INSERT INTO public."user" (id, email, organization_id) VALUES ('b0000000-0000-4000-8000-000000000001', 'you@example.com', 'a0000000-0000-4000-8000-000000000001')}, 'mydb');
my ($script) = page_text('doc/tasks.md') =~ /^## From a script, with psql\n.*?^```sh\n(.*?)^```$/ms;
my $exported = PostgreSQL::Test::Utils::tempdir('exported');
runs_in('..', \%psql, 'the script of doc/tasks.md', 'sh', '-euc', $script =~ s{/tmp/}{$exported/}r);
is(next_mail()->header('Subject'), 'Task Completed: nightly.export - Success', '... is mailed');
like(slurp_file("$exported/deliveries.csv"), qr/^id,created_at,task,/, '... and has done its work');
$node->sql('DROP DATABASE mydb');

# ---- FastAPI: the original's test endpoint ----

$node->sql(qq{CREATE TABLE public.api_token (token text PRIMARY KEY, user_id uuid, organization_id uuid);
	INSERT INTO public.api_token VALUES ('janes token', '$JANE', '$ACME');
	GRANT SELECT ON public.api_token TO app; GRANT EXECUTE ON FUNCTION rhesis_notify.email_notification_test TO app});
my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die "no free port: $!";
my $port = $socket->sockport;
close $socket;
my ($server, $server_output);
{
	local %ENV = environment('postgres', 'app');
	$server = IPC::Run::start([ '/usr/bin/python3', '-m', 'uvicorn', 'main:app', '--host', '127.0.0.1', '--port', $port ],
		'<', \undef, '>&', \$server_output, init => sub { chdir "$examples/fastapi" or POSIX::_exit(126) });
}
END
{
	local $?;
	$server->kill_kill if $server;
}

my ($endpoint) = $source{"$examples/fastapi/main.py"} =~ /^(\@app\.post\(.*)/ms;
cmp_ok(scalar(my @lines = split /\n/, $endpoint), '<=', 10, 'the endpoint is ten lines');

my $http = HTTP::Tiny->new(timeout => $PostgreSQL::Test::Utils::timeout_default);

sub post
{
	my ($token, $content) = @_;
	return $http->post("http://127.0.0.1:$port/api/tasks/email-notification-test",
		{ headers => { Authorization => "Bearer $token", 'Content-Type' => 'application/json' }, content => encode_json($content) });
}

RhesisNotify::Peer::wait_until(sub { $server->pump_nb; $http->get("http://127.0.0.1:$port/docs")->{success} }, 'the endpoint is up');
my $response = post('janes token', { message => 'Testing email notifications' });
is($response->{status}, 202, 'the test endpoint takes the original\'s request') or diag($response->{content});
my $id = decode_json($response->{content})->{notification_id};
is(next_mail()->header('Subject'), 'Task Completed: Email Notification Test - Success', '... and mails who is logged in');
is($node->notification($id)->{recipient_email}, 'jane@example.com', '... as the notification says');
is(post('nobodys token', {})->{status}, 401, 'and nobody else');

is($peer->mail_count, $seen, 'there is no mail but these');
$node->stop;
$peer->stop;
done_testing();


# Celery as an application runs it: the test's own broker (Redis), workers, and an application that
# submits tasks.
package RhesisNotify::Celery;

use strict;
use warnings;

use Carp;
use Cwd qw(abs_path);
use File::Basename;
use IPC::Run;
use JSON::PP;
use POSIX ();
use PostgreSQL::Test::Utils;
use RhesisNotify::Peer;

my $top = abs_path(dirname(__FILE__) . '/../../..');
my @running;

# Returns SQLAlchemy's driver for psycopg 3, if SQLAlchemy on this machine has one, else the driver
# for psycopg2.
sub driver
{
	my $found = qx(/usr/bin/python3 -c 'import psycopg, sqlalchemy.dialects.postgresql.psycopg' 2>&1);
	return $? == 0 ? 'psycopg' : 'psycopg2';
}

# Starts the broker. The tasks connect to the database "postgres" of the cluster, as $role.
sub start
{
	my ($class, $node, $role) = @_;
	my $directory = PostgreSQL::Test::Utils::tempdir_short();
	my $self = bless { directory => $directory, workers => {}, redis => {}, driver => driver() }, $class;

	$self->{environment} = {
		DATABASE_URL => sprintf('postgresql+%s://%s@/postgres?host=%s&port=%d', $self->{driver}, $role, $node->host, $node->port),
		PYTHONPATH => "$top/examples/celery:$top/test/celery",
		PYTHONDONTWRITEBYTECODE => 1,
		TEST_DIRECTORY => $directory,
	};
	push @running, $self;
	$self->environment(CELERY_BROKER_URL => $self->start_redis('redis'));
	return $self;
}

# Starts a Redis with this name. Returns its URL.
sub start_redis
{
	my ($self, $name) = @_;
	my $socket = "$self->{directory}/$name";

	unlink $socket;
	$self->{redis}{$name} =
	  $self->spawn($name, 'redis-server', '--port', 0, '--unixsocket', $socket, '--save', '', '--dir', $self->{directory});
	RhesisNotify::Peer::wait_until(sub { -S $socket }, "Redis listens at $socket");
	return "redis+socket://$socket";
}

sub stop_redis
{
	my ($self, $name) = @_;
	my $pid = delete $self->{redis}{$name} or return;

	kill 'TERM', $pid;
	waitpid($pid, 0);
	return;
}

# Starts a process whose output goes to a file. Returns its process id.
sub spawn
{
	my ($self, $name, @command) = @_;
	my $pid = fork() // croak "could not fork: $!";

	return $pid if $pid;
	%ENV = (%ENV, %{ $self->{environment} });
	open(STDIN, '<', '/dev/null') or POSIX::_exit(127);
	open(STDOUT, '>>', "$self->{directory}/$name.log") or POSIX::_exit(127);
	open(STDERR, '>&', \*STDOUT) or POSIX::_exit(127);
	exec(@command) or POSIX::_exit(127);
}

# Sets variables for the processes that are started from now on.
sub environment
{
	my ($self, %variables) = @_;
	%{ $self->{environment} } = (%{ $self->{environment} }, %variables);
	return;
}

# Starts a worker that takes its tasks from this queue. Returns when the worker is ready.
sub start_worker
{
	my ($self, $module, $queue, @options) = @_;
	my $ready = () = $self->log($queue) =~ /ready\.$/mg;

	$self->{workers}{$queue} = $self->spawn(
		$queue, '/usr/bin/python3', '-m', 'celery', '--app', $module, 'worker', '--queues', $queue, '--hostname', "$queue\@test",
		'--loglevel', 'INFO', '--without-gossip', '--without-mingle', @options);
	RhesisNotify::Peer::wait_until(
		sub { my $count = () = $self->log($queue) =~ /ready\.$/mg; $count > $ready },
		"the worker of $queue is ready");
	return $self->{workers}{$queue};
}

sub log
{
	my ($self, $queue) = @_;
	my $file = "$self->{directory}/$queue.log";
	return -e $file ? slurp_file($file) : '';
}

sub stop_worker
{
	my ($self, $queue, $signal) = @_;
	my $pid = delete $self->{workers}{$queue} or return;

	kill $signal // 'TERM', $pid;
	waitpid($pid, 0);
	return;
}

# Submits calls in the form of test/celery/submit.py. Returns the ids of the tasks.
sub submit
{
	my ($self, $module, @calls) = @_;
	local %ENV = (%ENV, %{ $self->{environment} });
	my ($input, $output, $errors) = (encode_json(\@calls), '', '');

	IPC::Run::run([ '/usr/bin/python3', "$top/test/celery/submit.py", $module ], '<', \$input, '>', \$output, '2>', \$errors)
	  or croak "could not submit: $errors";
	return split /\n/, $output;
}

# Runs a program of the application. Returns its output.
sub program
{
	my ($self, @arguments) = @_;
	local %ENV = (%ENV, %{ $self->{environment} });
	my ($output, $errors) = ('', '');

	IPC::Run::run([ '/usr/bin/python3', @arguments ], '<', \undef, '>', \$output, '2>', \$errors)
	  or croak "@arguments failed: $errors";
	return $output;
}

# Waits until a task hangs. Returns the id of the process in which it hangs.
sub hanging
{
	my ($self, $task_id) = @_;
	my $file = "$self->{directory}/$task_id";

	RhesisNotify::Peer::wait_until(sub { -s $file }, "$task_id hangs");
	return slurp_file($file) + 0;
}

sub stop
{
	my ($self) = @_;

	$self->stop_worker($_) foreach keys %{ $self->{workers} };
	$self->stop_redis($_) foreach keys %{ $self->{redis} };
	return;
}

END
{
	local $?;
	foreach my $self (@running)
	{
		$self->stop_worker($_, 'KILL') foreach keys %{ $self->{workers} };
		$self->stop;
	}
}

1;

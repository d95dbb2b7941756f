
# A program of the test that runs until the test stops it by its process id. Its output is in the
# log directory of the test.
package RhesisNotify::Daemon;

use strict;
use warnings;

use Carp;
use POSIX ();
use PostgreSQL::Test::Utils;

my @running;

# Options: environment has variables in addition to those of the test.
sub start
{
	my ($class, $name, $command, %options) = @_;
	my $self = bless { name => $name, log => "$PostgreSQL::Test::Utils::log_path/$name.log" }, $class;

	$self->{pid} = fork() // croak "could not fork: $!";
	if ($self->{pid} == 0)
	{
		@ENV{ keys %{ $options{environment} // {} } } = values %{ $options{environment} // {} };
		open(STDIN, '<', '/dev/null') or POSIX::_exit(127);
		open(STDOUT, '>>', $self->{log}) or POSIX::_exit(127);
		open(STDERR, '>&', \*STDOUT) or POSIX::_exit(127);
		{ exec(@$command) };
		POSIX::_exit(127);
	}
	push @running, $self;
	return $self;
}

sub log
{
	my ($self) = @_;
	return slurp_file($self->{log});
}

sub is_running
{
	my ($self) = @_;
	return $self->{pid} && waitpid($self->{pid}, POSIX::WNOHANG()) == 0;
}

sub stop
{
	my ($self) = @_;
	my $pid = delete $self->{pid} or return;

	# The process may be suspended, so it also gets SIGCONT.
	kill $_, $pid foreach qw(TERM CONT);
	waitpid($pid, 0);
	return;
}

END
{
	local $?;
	$_->stop foreach @running;
}

1;

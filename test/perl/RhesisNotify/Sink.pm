# bench/sink as the mail server of a test. It accepts every mail, faster than a worker sends, and
# records recipients and times. test/run builds it.
package RhesisNotify::Sink;

use strict;
use warnings;

use Carp;
use Cwd qw(abs_path);
use File::Basename;
use IO::Select;
use IO::Socket::UNIX;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RhesisNotify::Daemon;
use RhesisNotify::Peer;

my $program = abs_path(dirname(__FILE__) . '/../../..') . '/build/bench/sink';

# Starts it without TLS and login. The name is that of its log.
sub start
{
	my ($class, $name) = @_;
	my $control = PostgreSQL::Test::Utils::tempdir_short() . '/control';
	my $self = bless { port => PostgreSQL::Test::Cluster::get_free_port() }, $class;

	$self->{daemon} = RhesisNotify::Daemon->start($name, [ $program, '--control', $control, '--port', $self->{port}, '--stamps' ]);
	RhesisNotify::Peer::wait_until(sub { $self->{control} = IO::Socket::UNIX->new(Peer => $control) }, 'the sink is there');
	# When it answers here, it also accepts mail.
	$self->mail_count;
	return $self;
}

sub stop
{
	my ($self) = @_;
	return $self->{daemon}->stop;
}

# Returns the settings of the extension for this mail server.
sub settings
{
	my ($self) = @_;
	return (smtp_host => 'localhost', smtp_port => $self->{port}, smtp_tls => 'none');
}

sub ask
{
	my ($self, $question) = @_;

	$self->{control}->syswrite($question);
	IO::Select->new($self->{control})->can_read($PostgreSQL::Test::Utils::timeout_default) or croak "the sink does not answer: $question";
	return;
}

# Returns the number of accepted mails. With an argument, first waits until there are that many.
sub mail_count
{
	my ($self, $enough) = @_;

	$self->ask(defined $enough ? "wait $enough" : 'counts');
	return decode_json($self->{control}->getline)->{mails};
}

# Returns a list of the accepted mails, in the order of acceptance. Each entry is [local part of the
# recipient, time of acceptance in seconds of the monotonic clock].
sub mails
{
	my ($self) = @_;
	my @mails;

	$self->ask('stamps');
	while ((my $line = $self->{control}->getline // croak 'the sink has ended') ne "\n")
	{
		my ($nanoseconds, $local_part) = split ' ', $line;
		push @mails, [ $local_part, $nanoseconds / 1e9 ];
	}
	return @mails;
}

1;

# bench/sink as a test's own mail server: it accepts every mail, faster than a worker sends, and knows to whom and when. test/run
# builds it.
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

# Without TLS and without a login. The name is that of its log.
sub start
{
	my ($class, $name) = @_;
	my $control = PostgreSQL::Test::Utils::tempdir_short() . '/control';
	my $self = bless { port => PostgreSQL::Test::Cluster::get_free_port() }, $class;

	$self->{daemon} = RhesisNotify::Daemon->start($name, [ $program, '--control', $control, '--port', $self->{port}, '--stamps' ]);
	RhesisNotify::Peer::wait_until(sub { $self->{control} = IO::Socket::UNIX->new(Peer => $control) }, 'the sink is there');
	# It answers when it listens for mail, too.
	$self->mail_count;
	return $self;
}

sub stop
{
	my ($self) = @_;
	return $self->{daemon}->stop;
}

# The extension's settings to mail through it.
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

# The number of mails that it has accepted, at once or as soon as there are so many.
sub mail_count
{
	my ($self, $enough) = @_;

	$self->ask(defined $enough ? "wait $enough" : 'counts');
	return decode_json($self->{control}->getline)->{mails};
}

# Of each mail, in their order: [local part of the recipient, seconds of the monotonic clock when it was accepted].
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


# A session of psql that stays open: for a transaction that is left open, or for a statement that
# waits while the test continues.
package RhesisNotify::Session;

use strict;
use warnings;

use Carp;
use IPC::Run;
use PostgreSQL::Test::Utils;

my $ends = 0;

# Options: database, user.
sub start
{
	my ($class, $node, %options) = @_;
	my $self = bless { in => '', out => '', error => '' }, $class;
	my @command = ('psql', '-X', '-A', '-t', '-q', '-d', $node->connstr($options{database} // 'postgres'));

	push @command, '-U', $options{user} if $options{user};
	$self->{timeout} = IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default);
	$self->{psql} = IPC::Run::start(\@command, '<', \$self->{in}, '>', \$self->{out}, '2>', \$self->{error}, $self->{timeout});
	return $self;
}

# Starts a statement and does not wait for it.
sub begin
{
	my ($self, $query) = @_;

	$self->{end} = 'end of query ' . ++$ends;
	$self->{in} .= "$query;\n\\echo $self->{end}\n";
	$self->{psql}->pump_nb;
	return;
}

# Waits for the started statement. Returns its output and, in list context, its messages.
sub result
{
	my ($self) = @_;

	$self->{timeout}->start($PostgreSQL::Test::Utils::timeout_default);
	$self->{psql}->pump until $self->{out} =~ /\Q$self->{end}\E\n/;
	my ($out) = $self->{out} =~ /\A(.*?)\n?\Q$self->{end}\E\n/s;
	my $error = $self->{error};

	@$self{qw(out error)} = ('', '');
	return wantarray ? ($out, $error) : $out;
}

sub query
{
	my ($self, $query) = @_;
	$self->begin($query);
	return $self->result;
}

sub quit
{
	my ($self) = @_;
	$self->{in} .= "\\q\n";
	return $self->{psql}->finish;
}

# Ends the session after its server or process has gone.
sub abandon
{
	my ($self) = @_;
	eval { $self->{psql}->kill_kill(grace => 1) };
	return;
}

1;


# test/peers/smtp_peer.py as the mail server of a test: starts it, gives it rules, reads its mails,
# stops it.
package RhesisNotify::Peer;

use strict;
use warnings;

use Carp;
use Cwd qw(abs_path);
use File::Basename;
use File::Copy;
use JSON::PP;
use PostgreSQL::Test::Utils;
use RhesisNotify::Mail;
use Time::HiRes qw(usleep);

my $peers = abs_path(dirname(__FILE__) . '/../../peers');
my @running;

# Returns the directory that test/peers/make-certificates has filled.
sub certificates
{
	$ENV{RHESIS_CERTIFICATES} //= do
	{
		my $directory = PostgreSQL::Test::Utils::tempdir('certificates');
		system("$peers/make-certificates", $directory) == 0 or croak 'could not make certificates';
		$directory;
	};
	return $ENV{RHESIS_CERTIFICATES};
}

# The options are those of smtp_peer.py, with "_" for "-"; an option without a value is true. By
# default it offers STARTTLS with the certificate "good" and requires a login. The option
# certificate names another certificate; undef turns TLS off. If user is undef, no login is
# required.
sub start
{
	my ($class, %options) = @_;
	my $directory = PostgreSQL::Test::Utils::tempdir('peer');
	my $self = bless { directory => $directory, port => 0 }, $class;

	mkdir "$directory/mails" or croak "could not make a directory: $!";
	$self->{options} = { certificate => 'good', user => 'mailer', password => 'peer secret', %options };
	$self->certificate($self->{options}{certificate}) if defined $self->{options}{certificate};
	$self->start_again;
	return $self;
}

# Stops the server, and starts it again with changed options. undef removes an option.
sub start_otherwise
{
	my ($self, %options) = @_;

	$self->stop;
	$self->{options} = { %{ $self->{options} }, %options };
	$self->start_again;
	return;
}

sub arguments
{
	my ($self) = @_;
	my %options = %{ $self->{options} };
	my @tls =
	  defined delete $options{certificate}
	  ? ('--tls-cert', "$self->{directory}/server.pem", '--tls-key', "$self->{directory}/server.key")
	  : ();

	delete $options{password} unless defined $options{user};
	return (
		@tls,
		map {
			my $option = '--' . tr/_/-/r;
			/^(?:no_|implicit_|data_without)/ ? ($option) : ($option, $options{$_})
		} grep { defined $options{$_} } sort keys %options);
}

# Starts the server again after stop(), on the same port and with the same mails.
sub start_again
{
	my ($self) = @_;
	my $directory = $self->{directory};
	my @command = (
		'/usr/bin/python3', "$peers/smtp_peer.py", '--port', $self->{port}, '--port-file', "$directory/port",
		'--directory', "$directory/mails", '--transcript', "$directory/transcript", '--rules', "$directory/rules",
		$self->arguments);

	unlink "$directory/port";
	$self->{pid} = fork() // croak "could not fork: $!";
	if ($self->{pid} == 0)
	{
		open(STDIN, '<', '/dev/null') or POSIX::_exit(127);
		exec(@command) or POSIX::_exit(127);
	}
	push @running, $self;
	wait_until(sub { -s "$directory/port" }, 'the mail server listens');
	$self->{port} = slurp_file("$directory/port") + 0;
	return;
}

sub stop
{
	my ($self, $signal) = @_;
	my $pid = delete $self->{pid} or return;

	kill $signal // 'TERM', $pid;
	waitpid($pid, 0);
	return;
}

# Closes all open connections.
sub hang_up
{
	my ($self) = @_;
	kill 'USR1', $self->{pid};
	return;
}

sub directory { return shift->{directory}; }
sub port { return shift->{port}; }
sub user { return shift->{options}{user}; }
sub password { return shift->{options}{password}; }

# Uses this certificate from the next connection on.
sub certificate
{
	my ($self, $name) = @_;
	foreach my $suffix ('key', 'pem')
	{
		copy(certificates() . "/$name.$suffix", "$self->{directory}/new.$suffix") or croak "could not copy: $!";
		rename("$self->{directory}/new.$suffix", "$self->{directory}/server.$suffix") or croak "could not rename: $!";
	}
	return;
}

# Sets the rules that smtp_rules.py describes. Without arguments, the server behaves correctly
# again.
sub rules
{
	my ($self, @rules) = @_;
	my $file = "$self->{directory}/rules";

	open(my $handle, '>', "$file.new") or croak "could not write $file: $!";
	print $handle encode_json(\@rules);
	close $handle;
	rename("$file.new", $file) or croak "could not rename $file: $!";
	return;
}

# Returns all mails so far, the oldest first.
sub mails
{
	my ($self) = @_;
	return map { RhesisNotify::Mail->new(slurp_file(s/json$/eml/r), decode_json(slurp_file($_))) }
	  sort glob "$self->{directory}/mails/*.json";
}

sub mail_count
{
	my ($self) = @_;
	opendir(my $handle, "$self->{directory}/mails") or croak "could not open the mails: $!";
	return scalar grep { /\.json\z/ } readdir $handle;
}

# Waits for that number of mails. Returns the mails if the caller wants a list.
sub wait_for_mails
{
	my ($self, $count) = @_;
	wait_until(sub { $self->mail_count >= $count }, "there are $count mails");
	return defined wantarray ? $self->mails : ();
}

# Waits until Postfix has stored the mail with this Message-ID in the Maildir. Returns it.
sub mail_in_maildir
{
	my ($maildir, $message_id) = @_;
	my $mail;

	wait_until(
		sub {
			($mail) = grep { $_->raw_header('Message-ID') eq $message_id }
			  map { RhesisNotify::Mail->new(slurp_file($_)) } glob "$maildir/new/*";
		},
		"$message_id is in $maildir");
	return $mail;
}

# Returns the transcript: lines of the form "CONNECTION C|S|- TEXT".
sub transcript
{
	my ($self) = @_;
	return -e "$self->{directory}/transcript" ? slurp_file("$self->{directory}/transcript") : '';
}

# Returns the commands of the clients, in order.
sub commands
{
	my ($self) = @_;
	return $self->transcript =~ /^\d+ C (.*)$/mg;
}

# Waits until the transcript matches.
sub wait_for_transcript
{
	my ($self, $pattern) = @_;
	wait_until(sub { $self->transcript =~ $pattern }, "the transcript has $pattern");
	return;
}

# Polls a condition. Gives up after the usual timeout of the PostgreSQL tests.
sub wait_until
{
	my ($condition, $what) = @_;
	my $tries = 50 * $PostgreSQL::Test::Utils::timeout_default;

	while (!$condition->())
	{
		croak "waited in vain until $what" if --$tries < 0;
		usleep(20_000);
	}
	return;
}

END
{
	local $?;
	$_->stop foreach @running;
}

1;

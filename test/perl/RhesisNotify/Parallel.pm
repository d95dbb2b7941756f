
# Runs work in parallel child processes. Each of them returns data. Only the parent reports test
# results.
package RhesisNotify::Parallel;

use strict;
use warnings;

use Carp;
use Exporter qw(import);
use JSON::PP;
use POSIX ();

our @EXPORT_OK = qw(in_parallel);

# Calls each function in its own process. Returns their results (one reference each) in order. If a
# child dies, this dies with the same message after the others have ended.
sub in_parallel
{
	my (@codes) = @_;
	my @children = map { start($_) } @codes;
	my (@results, @errors);

	foreach my $child (@children)
	{
		my $handle = $child->{handle};
		my $text = do { local $/ = undef; <$handle> };

		waitpid($child->{pid}, 0);
		my $answer = length($text) ? decode_json($text) : { error => 'a child ended without a word' };
		push @errors, $answer->{error} if defined $answer->{error};
		push @results, $answer->{result};
	}
	croak join("\n", @errors) if @errors;
	return @results;
}

# Starts a child process. It runs no END block, because the servers belong to the parent.
sub start
{
	my ($code) = @_;
	my $pid = open(my $handle, '-|') // croak "could not fork: $!";

	if ($pid == 0)
	{
		open(my $out, '>&', \*STDOUT) or POSIX::_exit(127);
		open(STDOUT, '>&', \*STDERR) or POSIX::_exit(127);
		my $result = eval { $code->() };
		my $error = defined $result ? undef : ($@ || 'no result');
		print $out encode_json({ result => $result, error => $error });
		close $out;
		POSIX::_exit(0);
	}
	return { pid => $pid, handle => $handle };
}

1;


# Work in child processes, side by side: each returns data; the parent alone reports test results.
package RhesisNotify::Parallel;

use strict;
use warnings;

use Carp;
use Exporter qw(import);
use JSON::PP;
use POSIX ();

our @EXPORT_OK = qw(in_parallel);

# Calls each code in a process of its own; returns what they return (a reference each), in their order. A child that dies
# is our death, with its message, once the others have ended too.
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

# No END block runs in the child: the servers are the parent's.
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

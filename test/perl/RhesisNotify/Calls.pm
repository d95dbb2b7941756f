# Which C files of a folder call each other, read from their text.
package RhesisNotify::Calls;

use strict;
use warnings;

use Exporter qw(import);
use File::Basename;

our @EXPORT_OK = qw(circles_of_calls);

# A function as clang-format writes it: a line with its type, a line that begins with its name, and
# its body between two lines that have only a brace.
my $function = qr/^([^\n]*)\n(\w+)\([^;{}]*\)\n\{\n(.*?)^\}/ms;

# Returns the text of a file without comments and strings.
sub code_of
{
	my ($file) = @_;
	open(my $handle, '<', $file) or die "could not open $file: $!\n";
	my $text = do { local $/ = undef; <$handle> };
	close $handle;
	$text =~ s{/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'}{ }gs;
	return $text;
}

# Returns, for each file, the files whose functions it names, each with one of these names. A
# function that is only named, for example in a table, counts as called.
sub calls_among
{
	my (@files) = @_;
	my (%code, %file_of, %calls);

	foreach my $file (@files)
	{
		my $code = code_of($file);
		my @bodies;

		while ($code =~ /$function/g)
		{
			my ($type, $name, $body) = ($1, $2, $3);
			push @bodies, $body;
			$file_of{$name} = $file unless $type =~ /\bstatic\b/ && $file =~ /\.c$/;
		}
		# A header declares functions that it does not call.
		$code{$file} = $file =~ /\.h$/ ? join("\n", @bodies) : $code;
	}
	foreach my $file (@files)
	{
		foreach my $name (sort { $b cmp $a } $code{$file} =~ /\b([A-Za-z_]\w*)\b/g)
		{
			my $other = $file_of{$name};
			$calls{$file}{$other} = $name if defined $other && $other ne $file;
		}
	}
	return \%calls;
}

# Returns the shortest chain of calls from one file to another, or the empty list.
sub way
{
	my ($calls, $from, $to) = @_;
	my %before = ($from => undef);
	my @waiting = ($from);

	while (defined(my $file = shift @waiting))
	{
		foreach my $next (sort keys %{ $calls->{$file} })
		{
			if ($next eq $to)
			{
				my @way = ($to);
				for (my $step = $file; defined $step; $step = $before{$step}) { unshift @way, $step; }
				return @way;
			}
			next if exists $before{$next};
			$before{$next} = $file;
			push @waiting, $next;
		}
	}
	return;
}

# Takes the files of one folder, and returns a line for each that is in a circle of calls.
sub circles_of_calls
{
	my (@files) = @_;
	my $calls = calls_among(@files);
	my @circles;

	foreach my $file (sort @files)
	{
		my @way = way($calls, $file, $file) or next;
		my @steps = map { $calls->{ $way[$_] }{ $way[ $_ + 1 ] } . '() of ' . basename($way[ $_ + 1 ]) } 0 .. $#way - 1;
		push @circles, "$file: is in a circle of calls: it calls " . join(', which calls ', @steps);
	}
	return @circles;
}

1;

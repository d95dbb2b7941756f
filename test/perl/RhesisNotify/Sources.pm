# The library's C sources, as test/list-sources has them.
package RhesisNotify::Sources;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename;

our @EXPORT_OK = qw(source_files source_text);

my $top = abs_path(dirname(__FILE__) . '/../../..');

# Full paths; of one extension ("c", "h") or of both.
sub source_files
{
	my ($extension) = @_;
	open(my $list, '-|', "$top/test/list-sources", $extension // ()) or die "could not run test/list-sources: $!\n";
	chomp(my @files = <$list>);
	close $list or die "test/list-sources failed\n";
	return map { "$top/$_" } @files;
}

# Those of one extension, or all, as one text.
sub source_text
{
	my ($extension) = @_;
	local @ARGV = source_files($extension);
	local $/ = undef;
	return join '', <>;
}

1;

# The list of sources that test/list-sources prints, and the levels of the folders.
package RhesisNotify::Sources;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename;

our @EXPORT_OK = qw(source_files source_text folder_levels);

my $top = abs_path(dirname(__FILE__) . '/../../..');

# The folders of src/, the lowest level first. A folder includes only files of lower levels.
my @levels = (
	[qw(base)], [qw(mustache mail smtp)], [qw(policy)], [qw(settings)], [qw(server)], [qw(queue)],
	[qw(recipients)], [qw(template)], [qw(delivery)], [qw(worker report)],);

sub folder_levels
{
	return @levels;
}

# Returns full paths. The argument is an extension of C sources ("c" or "h"), or "sql" for the parts
# of the install script. Without an argument, returns all C sources.
sub source_files
{
	my ($extension) = @_;
	open(my $list, '-|', "$top/test/list-sources", $extension // ()) or die "could not run test/list-sources: $!\n";
	chomp(my @files = <$list>);
	close $list or die "test/list-sources failed\n";
	return map { "$top/$_" } @files;
}

# Returns the same files as one text.
sub source_text
{
	my ($extension) = @_;
	local @ARGV = source_files($extension);
	local $/ = undef;
	return join '', <>;
}

1;

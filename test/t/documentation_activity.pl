# doc/operate.md lists everything that pg_stat_activity shows of the processes, with their wait
# events, and nothing else. activity.pl checks that they show it.
use strict;
use warnings FATAL => 'all';

use RhesisNotify::Document qw(page_text);
use RhesisNotify::Sources qw(source_text);
use Test::More;

my $source = source_text('c');
my $page = page_text('doc/operate.md');

sub uniq
{
	my @words = @_;
	my %seen;
	my @sorted = sort grep { !$seen{$_}++ } @words;
	return @sorted;
}

# Returns the body of a function. If static functions in several files have this name, returns the
# bodies of all of them.
sub body_of
{
	my ($function) = @_;
	return join('', $source =~ /^\Q$function\E\([^;]*?\)\n\{(.*?)^\}/msg) || die "there is no function $function in the sources\n";
}

# Returns the texts that a worker shows while it waits, as formats of printf, each with its wait
# event. An activity without a format shows its name.
sub waiting_in_code
{
	my %event_of = body_of('ActivityWaitEvent') =~ /\[(WORKER_\w+)\] = "(\w+)"/g;
	my %name_of = body_of('WorkerActivityName') =~ /\[(WORKER_\w+)\] = "([^"]+)"/g;
	my %format_of = map { $_ => [ $name_of{$_} ] } keys %event_of;
	my $cases = body_of('Describe');

	while ($cases =~ /case (WORKER_\w+):\n(.*?)return;/sg)
	{
		my ($activity, $code) = ($1, $2);
		$code = body_of($1) if $code =~ /^\s*(\w+)\(text\);/;
		$format_of{$activity} = [ $code =~ /snprintf\(text, MAX_TEXT, "([^"]+)"/g ];
	}
	return map {
		my $event = $event_of{$_};
		map { "$_ | $event" } @{ $format_of{$_} }
	} keys %event_of;
}

# Returns the texts that a worker shows while it works in a transaction. There it waits for no event
# of the extension.
sub working_in_code
{
	my %name_of = body_of('WorkerActivityName') =~ /\[(WORKER_\w+)\] = "([^"]+)"/g;

	return map { "$_ | " } (map { /"([^"]+)"/g } $source =~ /\bBeginWork\(([^;]*)\);/g), @name_of{ $source =~ /\bShowWork\(WorkerActivityName\((\w+)\)\)/g };
}

sub launcher_in_code
{
	my ($text) = body_of('Prepare') =~ /STATE_IDLE, "([^"]+)"/;
	my ($event) = body_of('RhesisLauncherMain') =~ /RhesisWaitEvent\("(\w+)"\)/;
	return "$text | $event";
}

# Does a text of the page have this format? In place of the format's directives, the page has
# numbers, names and dots.
sub is_of_format
{
	my ($text, $format) = @_;
	my $pattern = quotemeta($format) =~ s/\\%[du]/\\d+/gr =~ s/\\%s/(?:[.]{3}|[\\w.]+)/gr;
	return $text =~ /^$pattern$/;
}

# Returns the formats of the texts on the page, each with its event. A row of the table has several
# texts, and an event for each of them, or no event.
sub in_document
{
	my (@formats) = @_;
	my ($table) = $page =~ /^\| `query` \| `wait_event` \|.*\n\|[- |]+\n((?:\|.*\n)+)/m;
	my @found;

	foreach my $row (split /\n/, $table)
	{
		my (undef, $texts, $events) = split /\|/, $row;
		my @events = $events =~ /`(\w+)`/g;
		foreach my $text ($texts =~ /`([^`]+)`/g)
		{
			my ($format) = grep { is_of_format($text, $_) } @formats;
			push @found, ($format // $text) . ' | ' . (shift @events // '');
		}
	}
	return @found;
}

my @in_code = (waiting_in_code(), working_in_code(), launcher_in_code());
is_deeply([ uniq(in_document(map { s/ \| .*//r } @in_code)) ], [ uniq(@in_code) ], 'doc/operate.md has what the processes show, and nothing else');
is_deeply([ uniq($page =~ /`(RhesisNotify\w+)`/g) ], [ uniq($source =~ /"(RhesisNotify\w+)"/g) ], 'and all wait events');

done_testing();

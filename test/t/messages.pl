# The messages of the extension follow PostgreSQL's style guide for errors: no contractions, plural
# forms, and primary messages that are no sentences. The words of three log lines are fixed.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use RhesisNotify::Messages qw(style_problems sources_of_messages);
use Test::More;

foreach my $case (
	[ 'errmsg("relation can\'t be read")' => 'contraction' ],
	[ q{RAISE NOTICE 'it isn''t paused'} => 'contraction' ],
	[ q{COMMENT ON TABLE t IS 'what''s due'} => 'contraction' ],
	[ 'errmsg("%d notifications wait", n)' => 'no plural form' ],
	[ 'errdetail("It has " INT64_FORMAT " rows.", n)' => 'no plural form' ],
	[ 'errmsg("could not do it.")' => 'full stop' ],
	[ 'errmsg("Could not do it")' => 'capital' ])
{
	my ($source, $problem) = @$case;
	like(join("\n", style_problems($source)), qr/^$problem: [^\n]+$/, "refused: $source");
}
is_deeply([ style_problems('errmsg_plural("%d row waits", "%d rows wait", n, n), errdetail("SMTP port %d is the user\'s.", port)') ], [], 'a good one is not');

is_deeply([ style_problems(slurp_file($_)) ], [], s{.*/}{}r . ' keeps to it') foreach sources_of_messages();

done_testing();

# health(), explain() and the log say what a person can do about a problem of the mail server, to
# every role that may call them. Real mail server behaviour causes each problem.
use strict;
use warnings FATAL => 'all';

use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use Test::More;

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, settings => { connect_timeout => '3s', retry_delay => '30s' });
$node->sql(q{CREATE ROLE support LOGIN; SELECT rhesis_notify.grant_to('support', 'operator')});

# Returns the problem and the advice in the row of health() or explain() about the mail server.
sub advice
{
	my ($from) = @_;
	return $node->sql("SET SESSION AUTHORIZATION support; SELECT concat_ws(' | ', value, advice) FROM (SELECT $from) AS row (name, value, advice) WHERE name = 'mail server'")
	  =~ s/^SET\n//r;
}

# Waits until the advice matches the pattern, and returns it. While the worker tries the server
# again, there is no advice for a moment.
sub advice_with
{
	my ($pattern, $from) = @_;
	my $advice;

	RhesisNotify::Peer::wait_until(sub { ($advice = advice($from)) =~ $pattern }, "it says $pattern");
	return $advice;
}

foreach my $case (
	# the problem, how to cause it, settings, the advice, and whether it ends by itself
	[ 'a wrong password', [ password => 'another' ], [], {}, qr/Check rhesis_notify\.smtp_user and the password/, 0 ],
	[ 'a password file that is not there', [], [], { smtp_password_file => '/nonexistent' }, qr/Check rhesis_notify\.smtp_password_file/, 0 ],
	[ 'a name that is refused', [], [ { stage => 'rcpt', action => 'reply', text => '504 5.5.2 <pod>: Helo command rejected: need fully-qualified hostname' } ], {}, qr/Set rhesis_notify\.smtp_helo_name/, 0 ],
	[ 'a sender that is refused', [], [ { stage => 'mail', action => 'reply', text => '550 5.7.1 Sender not verified' } ], {}, qr/rhesis_notify\.from_email/, 0 ],
	[ 'a login that is not offered', [ mechanisms => 'XOAUTH2' ], [], {}, qr/rhesis_notify\.smtp_auth/, 0 ],
	[ 'implicit TLS on another port', [ implicit_tls => 1 ], [], {}, qr/set rhesis_notify\.smtp_tls to implicit/, 1 ],
	[ 'no STARTTLS', [ no_starttls => 1 ], [], {}, qr/set rhesis_notify\.smtp_port to 587 for STARTTLS, or to 465/, 0 ],
	[ 'a foreign certificate', [ certificate => 'self-signed' ], [], {}, qr/for a private authority set rhesis_notify\.smtp_ca_file/, 0 ],
	[ 'a port where nothing listens', [], [], { smtp_port => 1 }, qr/Check rhesis_notify\.smtp_port/, 1 ],
	[ 'a name that name servers do not know', [], [], { smtp_host => 'nowhere.invalid' }, qr/Check the spelling of rhesis_notify\.smtp_host/, 1 ],
	[ 'a quota', [], [ { stage => 'mail', action => 'reply', text => '452 4.5.3 Daily message limit exceeded' } ], {}, qr/rhesis_notify\.max_rate/, 1 ],)
{
	my ($what, $options, $rules, $settings, $hint, $passes) = @$case;
	my $bad_peer = RhesisNotify::Peer->start(@$options);

	$bad_peer->rules(@$rules);
	$node->reconfigure(RhesisNotify::Cluster::peer_settings($peer), smtp_password_file => '', smtp_port => $bad_peer->port, %$settings);
	my $id = $node->report;
	my $health = advice_with($hint, 'check_name, value, advice FROM rhesis_notify.health()');
	like($health, $passes ? qr/the worker tries again by itself\.$/ : qr/this does not pass by itself\. Mail waits/, "$what: health() says what to do, and whether it passes by itself");
	like(advice_with($hint, "step, detail, advice FROM rhesis_notify.explain($id)"), qr/check_smtp\(\) tries it step by step\.$/, '... and so does explain()');
	like($node->log, qr/is in trouble: [^\n]*\n(?:[^\n]*DETAIL:[^\n]*\n)?[^\n]*HINT:  [^\n]*$hint/, '... and the log');
	$bad_peer->stop;
}

# The advice about one problem does not stay for the next one, or after all problems.
$node->reconfigure(RhesisNotify::Cluster::peer_settings($peer), smtp_password_file => '');
$node->wait_for(q{SELECT bool_and(state = 'sent') FROM rhesis_notify.delivery_status});
like(advice('check_name, value, advice FROM rhesis_notify.health()'), qr/^\d+ connections?, [^|]*$/, 'nothing is left of it when mail goes out');
my $busy_peer = RhesisNotify::Peer->start;
$busy_peer->rules({ stage => 'greeting', action => 'reply', text => '421 4.3.2 Too busy' });
$node->reconfigure(smtp_port => $busy_peer->port);
$node->report;
advice_with(qr/ \| SELECT \* FROM rhesis_notify\.check_smtp\(\)/, 'check_name, value, advice FROM rhesis_notify.health()');
pass('a trouble of which nothing is known');
$busy_peer->stop;

$node->stop;
$peer->stop;
done_testing();

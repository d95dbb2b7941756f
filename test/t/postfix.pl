# A worker sends mail through a real mail server: Postfix, with TLS and a login, with and without
# PIPELINING.
#
# For this file, test/run starts Postfix as root, and says where it is (RHESIS_POSTFIX_*).
use strict;
use warnings FATAL => 'all';

use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use Test::More;

plan skip_all => 'Postfix runs as root only' unless $ENV{RHESIS_POSTFIX_PORT};

my $node = RhesisNotify::Cluster->serve(
	'main',
	settings => { smtp_host => 'localhost', smtp_ca_file => RhesisNotify::Peer::certificates() . '/ca.pem' });

foreach my $port ($ENV{RHESIS_POSTFIX_PORT}, $ENV{RHESIS_POSTFIX_PORT_WITHOUT_PIPELINING})
{
	$node->reconfigure(smtp_port => $port, smtp_user => 'mailer@localhost', smtp_password => 'postfix secret');
	my $id = $node->report(task_id => "by port $port of Postfix");
	my $row = $node->wait_for_state($id, 'sent');
	like($row->{smtp_reply}, qr/^250 2\.0\.0 Ok: queued as [0-9A-F]+$/, "port $port: Postfix has accepted it");

	my $delivered = RhesisNotify::Peer::mail_in_maildir($ENV{RHESIS_POSTFIX_MAILDIR}, $row->{message_id});
	is($delivered->raw_header('Delivered-To'), 'jane@example.com', "port $port: it is in the mailbox");
	like($delivered->raw_header('Received'), qr/ESMTPSA/, "port $port: by TLS and login");
	like($delivered->text, qr/Hello Jane Doe,/, "port $port: it can be read");
}

# By default Postfix refuses the name in EHLO only at RCPT, where most refusals are about the
# message.
$node->reconfigure(smtp_helo_name => 'pod-7f');
my $id = $node->report(task_id => 'from a pod');
$node->wait_for(q{SELECT state = 'backing off' AND last_error ~ 'Helo command rejected' FROM rhesis_notify.worker_status});
is($node->notification($id)->{attempts}, 0, 'a name that Postfix refuses at RCPT costs the mail no attempt');
isnt($node->notification($id)->{delivery_status}, 'failed', '... it waits');
like($node->log, qr/is in trouble: 504 5\.5\.2 <pod-7f>: Helo command rejected: need fully-qualified hostname\n(?:.*\n){0,2}.*HINT:  .*smtp_helo_name/, '... the log says what to set');
like($node->sql('SELECT step, ok, detail FROM rhesis_notify.check_smtp() WHERE NOT ok'), qr/^RCPT TO\|f\|504 5\.5\.2 .*smtp_helo_name/, '... and so does check_smtp()');
$node->reconfigure(smtp_helo_name => 'app.example.com');
is($node->wait_for_state($id, 'sent')->{attempts}, 1, '... and with another name it goes out');

$node->stop;
done_testing();

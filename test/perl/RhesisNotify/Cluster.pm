
# The test's own PostgreSQL server. Its database "postgres" has the extension and the tables of a
# small application like Rhesis.
package RhesisNotify::Cluster;

use strict;
use warnings;

use parent 'PostgreSQL::Test::Cluster';

use Carp;
use Exporter qw(import);
use JSON::PP;
use PostgreSQL::Test::Utils;
use RhesisNotify::Peer;
use RhesisNotify::Session;
use Test::More;
use Time::HiRes qw(usleep);

our @EXPORT_OK = qw($ACME $GLOBEX $JANE $JOSE $GLOBEX_USER);

# The data of the application.
our $ACME = '11111111-1111-1111-1111-111111111111';
our $GLOBEX = '11111111-1111-1111-1111-222222222222';
our $JANE = '22222222-2222-2222-2222-111111111111';
our $JOSE = '22222222-2222-2222-2222-222222222222';
our $GLOBEX_USER = '22222222-2222-2222-2222-333333333333';

my $app_schema = qq{
	CREATE TABLE public.organization (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text, display_name text);
	CREATE TABLE public."user" (
		id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email text, name text, given_name text,
		organization_id uuid REFERENCES public.organization, is_active boolean DEFAULT true, deleted_at timestamptz);
	INSERT INTO public.organization VALUES ('$ACME', 'acme', 'Acme GmbH'), ('$GLOBEX', 'globex', NULL);
	INSERT INTO public."user" (id, email, name, given_name, organization_id) VALUES
		('$JANE', 'jane\@example.com', 'Jane Doe', 'Jane', '$ACME'),
		('$JOSE', 'jose\@example.com', 'Jos\xc3\xa9 N\xc3\xba\xc3\xb1ez', NULL, '$ACME'),
		('$GLOBEX_USER', 'hank\@globex.example', NULL, 'Hank', '$GLOBEX');
};

my $tasks = 0;
my $LOOKS_OF_A_SESSION = 40;

# Starts a server that preloads the extension. Options:
#   peer         the mail server for its mails; it also provides the login
#   settings     of rhesis_notify ("workers") or of PostgreSQL ("server.max_worker_processes")
#   environment  variables of the server
#   bare         creates neither the application nor the extension
#   installed    another installation of PostgreSQL than the staged one
sub serve
{
	my ($class, $name, %options) = @_;
	my $self = $class->new($name, ($options{installed} ? (install_path => $options{installed}) : ()));
	my $peer = $options{peer};

	$self->{rhesis_environment} = $options{environment} // {};
	$self->init(extra => [ '-E', 'UTF8', '--locale=C.UTF-8' ], allows_streaming => $options{allows_streaming});
	$self->append_conf('postgresql.conf', "shared_preload_libraries = 'rhesis_notify'\nlog_statement = none\n");
	$self->configure(from_email => 'Rhesis AI <noreply@rhesis.example>', frontend_url => 'https://app.rhesis.example')
	  unless $options{environment};
	$self->configure(peer_settings($peer)) if $peer;
	$self->configure(%{ $options{settings} // {} });
	$self->start;
	$self->create_app('postgres') unless $options{bare};
	return $self;
}

sub peer_settings
{
	my ($peer) = @_;
	return (
		smtp_host => 'localhost',
		smtp_port => $peer->port,
		smtp_ca_file => RhesisNotify::Peer::certificates() . '/ca.pem',
		(defined $peer->user ? (smtp_user => $peer->user, smtp_password => $peer->password) : ()));
}

# Adds settings to postgresql.conf. If a setting is there already, the last line counts. The
# settings apply after a reload or restart.
sub configure
{
	my ($self, %settings) = @_;
	foreach my $name (sort keys %settings)
	{
		my $full_name = $name =~ /^server\.(.*)/ ? $1 : "rhesis_notify.$name";
		$self->append_conf('postgresql.conf', "$full_name = '" . ($settings{$name} =~ s/'/''/gr) . "'");
	}
	return;
}

# Adds settings and reloads. Returns when the workers of the application's database use them.
sub reconfigure
{
	my ($self, %settings) = @_;
	my $workers = "SELECT coalesce(string_agg(pid::text, ','), '0') FROM rhesis_notify.worker_status WHERE pid IS NOT NULL";
	my $before = $self->sql($workers);

	$self->configure(%settings);
	$self->reload;
	$self->wait_for("SELECT count(*) > 0 AND bool_and(pid NOT IN ($before) AND state NOT IN ('starting', 'stopping'))
		FROM rhesis_notify.worker_status WHERE database = current_database()");
	return;
}

sub start
{
	my ($self, @options) = @_;
	my @mail_variables = qw(SMTP_HOST SMTP_PORT SMTP_USER SMTP_PASSWORD SMTP_PASSWORD_FILE FROM_EMAIL FRONTEND_URL RHESIS_NOTIFY_INSTANCE);
	local %ENV = %ENV;

	delete @ENV{@mail_variables};
	@ENV{ keys %{ $self->{rhesis_environment} } } = values %{ $self->{rhesis_environment} };
	return $self->SUPER::start(@options);
}

# Restarts the server with its current environment.
sub restart
{
	my ($self) = @_;
	$self->stop('fast');
	$self->start;
	return;
}

sub create_app
{
	my ($self, $database, $version) = @_;
	$self->safe_psql($database, $app_schema);
	$self->safe_psql($database, 'CREATE EXTENSION rhesis_notify' . ($version ? " VERSION '$version'" : ''));
	return;
}

# Creates everything that users can write: a role that reports tasks, a registration, a silenced
# task, a template, and a notification in each state, whose task_id is that state. The database
# should be paused.
sub customise
{
	my ($self, $database) = @_;

	$self->sql(
		qq{
		SELECT rhesis_notify.grant_to('app');
		SELECT rhesis_notify.email_notification('app.export', subject_template => 'Export: {status}');
		SELECT rhesis_notify.silence('collect_results');
		INSERT INTO rhesis_notify.templates (organization_id, name, subject) VALUES ('$ACME', 'task_completion', 'Custom: {{status_title}}');
		INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, user_id, organization_id, delivery_status, delivery_reason, claimed_by, finished_at)
		SELECT state, 'app.export', 'success', '$JANE', '$ACME', state::rhesis_notify.delivery_state,
			CASE state WHEN 'held' THEN 'in_doubt' WHEN 'failed' THEN 'smtp_permanent' WHEN 'skipped' THEN 'no_email' END,
			CASE state WHEN 'sending' THEN 42 END, CASE WHEN state IN ('sent', 'failed', 'skipped', 'cancelled') THEN now() END
		FROM unnest(enum_range(NULL::rhesis_notify.delivery_state)::text[]) AS state;
		UPDATE rhesis_notify.task_notifications SET next_attempt_at = now() + interval '1 day' WHERE task_id = 'deferred';
	}, $database);
	return;
}

# Returns a value, or the output of psql, from the application's database.
sub sql
{
	my ($self, $query, $database) = @_;
	return $self->safe_psql($database // 'postgres', $query);
}

# Runs a statement that must fail. Returns its message with DETAIL and HINT.
sub sql_error
{
	my ($self, $query, $database) = @_;
	my $message;
	my $result = $self->psql($database // 'postgres', $query, stderr => \$message);

	croak "this did not fail: $query" if $result == 0;
	return $message;
}

sub literal
{
	my ($value) = @_;
	return defined $value ? "E'" . ($value =~ s/\\/\\\\/gr =~ s/'/''/gr) . "'" : 'NULL';
}

# Returns the INSERT of a finished task. The default is a task of Jane at Acme.
sub insert_of
{
	my (%columns) = @_;
	my %row = (
		task_id => sprintf('task %d of %d', ++$tasks, $$),
		task_name => 'app.tasks.export',
		status => 'success',
		user_id => $JANE,
		organization_id => $ACME,
		template => 'task_completion',
		%columns);
	my @names = sort keys %row;

	return sprintf('INSERT INTO rhesis_notify.task_notifications (%s) VALUES (%s)',
		join(', ', @names), join(', ', map { literal($row{$_}) } @names));
}

# Reports a finished task. Returns the id of the notification.
sub report
{
	my ($self, %columns) = @_;
	my $database = delete $columns{database};

	return $self->sql(insert_of(%columns) . ' RETURNING id', $database);
}

# Locks the queue in a transaction of the session, and then ends the pause. So the worker cannot
# claim the rows that were reported during the pause before that transaction ends. (A row that was
# claimed before the lock could still be sent.)
sub lock_queue
{
	my ($self, $session) = @_;

	$session->query('BEGIN; LOCK TABLE rhesis_notify.task_notifications IN SHARE MODE');
	$self->sql('SELECT rhesis_notify.resume()');
	return $session;
}

# Reports many tasks in one transaction. Their ids are task_name and a number.
sub report_many
{
	my ($self, $count, %columns) = @_;
	my $database = delete $columns{database};
	my $insert = insert_of(task_name => 'app.tasks.batch', %columns, task_id => 'TASK ID');
	my $name = literal(($columns{task_name} // 'app.tasks.batch') . ' ');

	$insert =~ s/VALUES \((.*)\)$/SELECT $1 FROM generate_series(1, $count) AS n/s;
	$insert =~ s/E'TASK ID'/$name || n/;
	return $self->sql($insert, $database);
}

# Returns a notification as a hash, without the result of the task.
sub notification
{
	my ($self, $id, $database) = @_;
	return decode_json($self->sql("SELECT to_jsonb(n) - 'result' FROM rhesis_notify.task_notifications AS n WHERE id = $id", $database));
}

# Waits until a notification is in this state. Returns it.
sub wait_for_state
{
	my ($self, $id, $state, $database) = @_;
	$self->poll_query_until($database // 'postgres', "SELECT delivery_status FROM rhesis_notify.task_notifications WHERE id = $id", $state)
	  or croak "notification $id did not become $state: " . encode_json($self->notification($id, $database));
	return $self->notification($id, $database);
}

# As PostgreSQL's function, but one session of psql runs many polls, because a new session for each
# poll would keep a processor busy. The session is replaced from time to time, so that it has the
# settings for new sessions. It is also replaced after a restart of the server. The function gives
# up when both the time and the number of polls are used up.
sub poll_query_until
{
	my ($self, $database, $query, $expected) = @_;
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;
	my $looks = 10 * $PostgreSQL::Test::Utils::timeout_default;
	my ($session, $out, $error);

	$expected //= 't';
	for (my $look = 0; $look < $looks || time < $end; $look++)
	{
		$session //= RhesisNotify::Session->start($self, database => $database);
		($out, $error) = eval { $session->query($query) };
		my $is_over = $@ ne '';
		my $is_found = !$is_over && $out eq $expected && $error eq '';

		if ($is_found || $is_over || $look % $LOOKS_OF_A_SESSION == $LOOKS_OF_A_SESSION - 1)
		{
			$is_over ? $session->abandon : $session->quit;
			undef $session;
		}
		return 1 if $is_found;
		usleep($is_over ? 100_000 : 25_000);
	}
	diag("waited in vain for $expected of: $query\nlast answer: " . ($out // '') . "\nlast error: " . ($error // ''));
	return 0;
}

# Waits until a query returns true.
sub wait_for
{
	my ($self, $query, $database) = @_;
	$self->poll_query_until($database // 'postgres', $query) or croak "waited in vain for: $query";
	return;
}

# Returns the events of a notification as hashes, the oldest first.
sub events
{
	my ($self, $id) = @_;
	return @{ decode_json($self->sql("SELECT coalesce(json_agg(e ORDER BY id), '[]') FROM rhesis_notify.delivery_events AS e WHERE notification_id = $id")) };
}

# Returns a column of the worker's row in worker_status, for the application's database.
sub worker
{
	my ($self, $column) = @_;
	return $self->sql("SELECT $column FROM rhesis_notify.worker_status WHERE database = 'postgres' ORDER BY worker LIMIT 1");
}

sub log
{
	my ($self, $offset) = @_;
	return slurp_file($self->logfile, $offset // 0);
}

1;

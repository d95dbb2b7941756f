"""A thousand organizations. Each of them has its own layout."""

from harness.cluster import private_memory
from harness.database import Database, drain
from harness.figures import Series, Target, in_turns

TITLE = "A thousand organizations with layouts of their own"
ORDER = 9

# An organization for each user, and a layout for each organization: the shipped layout in another
# colour.
TENANTS = """
INSERT INTO public.organization SELECT bench.organization_id(n), 'customer ' || n, 'Customer ' || n FROM generate_series(2, {count}) AS n;
INSERT INTO public."user" (id, email, name, organization_id)
SELECT bench.user_id('user' || n), 'user' || n || '@bench.example', 'Ada Müller', NULL FROM generate_series(1001, {count}) AS n;
UPDATE public."user" AS u SET organization_id = bench.organization_id(n)
FROM generate_series(1, greatest({count}, 1000)) AS n WHERE u.id = bench.user_id('user' || n);
CREATE OR REPLACE FUNCTION bench.queue(count integer, start integer, users integer) RETURNS void LANGUAGE sql AS $$
	INSERT INTO rhesis_notify.task_notifications
		(task_id, task_name, status, user_id, organization_id, template, started_at, completed_at, result)
	SELECT 'task-' || gen_random_uuid() || '-' || n, 'generate_test_set', 'success',
		bench.user_id('user' || 1 + n % users), bench.organization_id(1 + n % users), 'task_completion',
		now() - interval '165 s', now(),
		jsonb_build_object('test_run_id', 'run-' || n, 'test_set_name', 'Insurance chatbot', 'num_tests_generated', 250)
	FROM generate_series(start, start + count - 1) AS n
$$;
"""
LAYOUTS = """
INSERT INTO rhesis_notify.templates (organization_id, name, html, text)
SELECT bench.organization_id(n)::text, 'layout', '<!-- customer ' || n || ' -->' || html, 'Customer ' || n || E'\\n' || text
FROM rhesis_notify.shipped_templates, generate_series(1, %s) AS n WHERE name = 'layout'
"""


def create(cluster, name, tenants):
    database = Database(cluster, name)
    database.serve()
    if tenants > 1:
        database.sql(TENANTS.format(count=tenants))
    database.sql(LAYOUTS, tenants)
    database.sql("ANALYZE")
    return database


def pace(database, sink, count, tenants):
    def run():
        database.clear()
        database.hold_back(count, tenants)
        rate = drain(database, sink, count)[0]
        return {"mails/s": rate, "MB": private_memory(database.worker_pid())}
    return run


def run(bench, report):
    count = bench.pick(40000, 4000)
    sizes = bench.pick((1, 1000, 5000), (1, 1000))
    with bench.cluster() as cluster, bench.sink() as sink:
        cluster.configure(max_worker_processes=16, **sink.settings())
        runs = {}
        for tenants in sizes:
            database = create(cluster, f"tenants_{tenants}", tenants)
            users = 1000 if tenants == 1 else tenants
            runs[f"{tenants:,} organization{'s' if tenants > 1 else ''}"] = pace(database, sink, count, users)
        for one in runs.values():
            one()
        # Differences of a few percent must be visible above the noise of the machine.
        figures = in_turns(bench.pick(11, 1), runs, bench.say)

    names = list(figures)
    report.target(Target("1,000 organizations, over one", figures[names[1]]["mails/s"].over(figures[names[0]]["mails/s"]), at_least=0.9))
    report.target(Target("the worker's private memory in MB, at the most", Series([max(max(one["MB"].values) for one in figures.values())]),
                         at_most=40, digits=1))
    report.text(f"Backlogs of {count:,}, whose mails go to the organizations in turn: the worst order for a cache. Each organization has a "
                "layout, HTML and text, of the shipped one's size. The cache of parsed templates begins anew when it is larger than 16 MB.")
    report.table(["", "mails per second", "worker's private memory, MB"],
                 [[name, one["mails/s"].text(), one["MB"].text(1)] for name, one in figures.items()])
    report.bars("tenants", "mails per second", {f"rhesis_notify, {name}": one["mails/s"] for name, one in figures.items()})

"""The old way: the task sends the mail itself."""

import os
import smtplib
import ssl
from email.message import EmailMessage

from celery import Celery
from sqlalchemy import create_engine, text

app = Celery("before", broker=os.environ["CELERY_BROKER_URL"])
engine = create_engine(os.environ["DATABASE_URL"])


def send_mail(user_id: str, task_name: str, status: str) -> None:
    with engine.connect() as db:
        email = db.execute(text('SELECT email FROM public."user" WHERE id = :id'), {"id": user_id}).scalar_one()
    message = EmailMessage()
    message["From"] = os.environ["FROM_EMAIL"]
    message["To"] = email
    message["Subject"] = f"Task Complete: {task_name} - {status.title()}"
    message.set_content(f"Your task {task_name} has ended: {status}")
    with smtplib.SMTP(os.environ["SMTP_HOST"], int(os.environ["SMTP_PORT"]), timeout=30) as server:
        server.starttls(context=ssl.create_default_context(cafile=os.environ.get("SMTP_CA_FILE")))
        server.login(os.environ["SMTP_USER"], os.environ["SMTP_PASSWORD"])
        server.send_message(message)


@app.task(name="before.generate_test_set", bind=True)
def generate_test_set(self, name, tests, user_id):
    with engine.begin() as db:
        db.execute(text("INSERT INTO public.test_set (name, tests) VALUES (:n, :t)"), {"n": name, "t": tests})
    # The worker's slot waits for the mail server. A crash here loses the mail; a second run mails twice.
    send_mail(user_id, "Generate Test Set", "success")

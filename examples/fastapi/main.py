"""POST /api/tasks/email-notification-test sends a test mail to the user who is logged in. Run it: uvicorn main:app

Its role needs this right: GRANT EXECUTE ON FUNCTION rhesis_notify.email_notification_test TO app
"""

import os

from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel
from sqlalchemy import create_engine, text

app = FastAPI()
engine = create_engine(os.environ["DATABASE_URL"])


class TestMail(BaseModel):
    message: str = "Testing email notifications"


def current_user(token: HTTPAuthorizationCredentials = Depends(HTTPBearer())) -> dict:
    """Replace it with your own: returns user_id and organization_id of the token's user."""
    with engine.connect() as db:
        user = db.execute(
            text("SELECT user_id::text, organization_id::text FROM public.api_token WHERE token = :token"),
            {"token": token.credentials}).mappings().first()
    if user is None:
        raise HTTPException(401)
    return dict(user)


@app.post("/api/tasks/email-notification-test", status_code=202)
def email_notification_test(mail: TestMail, user: dict = Depends(current_user)) -> dict:
    with engine.begin() as db:
        db.execute(text("SELECT set_config('app.current_organization', :organization_id, true)"), user)
        queued = db.execute(
            text("SELECT rhesis_notify.email_notification_test(:message, :user_id)"),
            {"message": mail.message, "user_id": user["user_id"]})
        return {"notification_id": queued.scalar_one()}

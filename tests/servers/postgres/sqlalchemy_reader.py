"""A reader that has never heard of tower-audit: SQLAlchemy, and the table as such readers know it.

Reads questions as JSON lines from standard input and prints the answer to each as a line.
"""

import json
import sys
from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, Index, Integer, Sequence, String, create_engine, desc, func, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Event(Base):
    __tablename__ = "audit_events"
    __table_args__ = (
        Index("audit_events_idx_type_created", "event_type", "created_at"),
        Index("audit_events_idx_created", "created_at"),
    )

    id: Mapped[int] = mapped_column(Integer, Sequence("seq_audit_events_id"), primary_key=True)
    event_id: Mapped[UUID] = mapped_column(postgresql.UUID(as_uuid=True), unique=True)
    event_type: Mapped[str] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(DateTime)
    actor_user_email: Mapped[str | None] = mapped_column(String(254))
    actor_api_key_hash: Mapped[str | None] = mapped_column(String(64))
    actor_remote_addr: Mapped[str | None] = mapped_column(String(45))
    resource_route: Mapped[str | None] = mapped_column(String(255))
    resource_method: Mapped[str | None] = mapped_column(String(8))
    details: Mapped[dict | None] = mapped_column(postgresql.JSONB)
    outcome: Mapped[int | None] = mapped_column(Integer)

    def shown(self):
        return {
            "event_id": self.event_id.hex,
            "event_type": self.event_type,
            "created_at_micros": round(self.created_at.timestamp() * 1_000_000),
            "actor": {
                "user_email": self.actor_user_email,
                "api_key_hash": self.actor_api_key_hash,
                "remote_addr": self.actor_remote_addr,
            },
            "resource": {"route": self.resource_route, "method": self.resource_method},
            "outcome": self.outcome,
            "details": self.details,
        }


def filtered(statement, ask):
    if "event_id" in ask:
        statement = statement.where(Event.event_id == UUID(ask["event_id"]))
    if "event_type" in ask:
        statement = statement.where(Event.event_type == ask["event_type"])
    if "user_email" in ask:
        statement = statement.where(Event.actor_user_email == ask["user_email"])
    if "since" in ask:
        statement = statement.where(Event.created_at >= datetime.fromisoformat(ask["since"]))
    if "until" in ask:
        statement = statement.where(Event.created_at < datetime.fromisoformat(ask["until"]))
    if "n" in ask:
        statement = statement.where(Event.details["n"].as_integer() == ask["n"])
    return statement


def answer(session, ask):
    if ask["what"] == "count":
        return session.execute(filtered(select(func.count()).select_from(Event), ask)).scalar_one()
    statement = filtered(select(Event), ask).order_by(desc(Event.created_at))
    if "limit" in ask:
        statement = statement.limit(ask["limit"])
    if "skip" in ask:
        statement = statement.offset(ask["skip"])
    return [event.shown() for event in session.scalars(statement)]


def main():
    from sqlalchemy.orm import Session

    with Session(create_engine(sys.argv[1])) as session:
        for line in sys.stdin:
            print(json.dumps(answer(session, json.loads(line))), flush=True)


main()
